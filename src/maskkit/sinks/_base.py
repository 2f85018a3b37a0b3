"""Events of a video, and the interface of a sink of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from maskkit import _plugins
from maskkit._text import to_json

EVENT_VERSION = 1
"""Version of the fields of events: raised when a field is removed or changes its meaning."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """An event in a video.

    Attributes
    ----------
    event : str
        Kind of the event: ``"appeared"``, ``"decided"``, ``"changed"``, ``"left"``, ``"alarm"``, ``"alarm_over"``,
        ``"minute"``, ``"time_jump"``, ``"stream_lost"``, ``"stream_restored"`` or ``"end"``.
    time_s : float
        Time of the event, in seconds of the stream.
    utc : datetime
        Time of day of the event; for a file, of its processing.
    details : dict
        Further fields, which depend on the kind.
    id : str
        Name of the event that no other event has. A receiver that gets an event twice can tell by it.
    snapshot : bytes or None
        The frame of an alarm as JPEG with blurred faces, if it was asked for. It is not part of `to_dict`.
    """

    event: str
    time_s: float
    utc: datetime
    details: Mapping[str, Any] = field(hash=False)
    id: str = field(default_factory=lambda: uuid4().hex, compare=False)
    snapshot: bytes | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values for JSON."""
        return {
            "version": EVENT_VERSION,
            "event": self.event,
            "time_s": round(self.time_s, 3),
            "utc": self.utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "id": self.id,
            **self.details,
        }

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return to_json(self.to_dict())


class Sink(Protocol):
    """Passes the events of a video on, for example to a file, a web server or a message broker.

    Each sink has a thread of its own and a bounded queue of events in front of it, so that it may take its time and
    never delays the video. A sink may have

    - a method ``open()``, which is called once before the video is read and raises an error if the sink cannot be used;
    - a method ``connect()``, which is called once in the thread of the sink, before the first event. An OSError means
      that the receiver is not there yet, which is reported at once;
    - an attribute ``name``, under which messages show it.
    """

    def send(self, event: WatchEvent) -> None:
        """Deliver an event; called with one event at a time, in their order.

        An OSError, such as ConnectionError or TimeoutError, means that the receiver may accept the event later: it is
        sent again after a while. Any other exception means that it is refused: it is lost, counted and reported.
        """
        ...

    def close(self) -> None:
        """Close the sink, after the last event or when the time for sending the rest is over; called once."""
        ...


def resolve_sinks(sinks: str | Sink | Iterable[str | Sink]) -> list[Sink]:
    """Return sinks that are passed as names or instances, one or several; raise PluginError if one cannot be made."""
    if not isinstance(sinks, Iterable) and not hasattr(sinks, "send"):
        raise TypeError(
            f"sinks is of type {type(sinks).__name__}; want a name such as 'jsonl:FILE', a Sink, or several."
        )
    given = [sinks] if isinstance(sinks, str) or hasattr(sinks, "send") else list(sinks)
    return [_plugins.resolve("sinks", sink) for sink in given]


def open_sink(sink: Sink) -> None:
    """Open a sink, if it has to be; raise PluginError or the sink's own error if it cannot be used."""
    with _plugins.plugin_errors("sinks", sink, "open()"):
        _call_if_there(sink, "open")


def connect_sink(sink: Sink) -> None:
    """Wait for the receiver of a sink that can tell whether it is there; raise the sink's own error."""
    _call_if_there(sink, "connect")


def _call_if_there(sink: Sink, method: str) -> None:
    function: Callable[[], None] | None = getattr(sink, method, None)
    if function is not None:
        function()
