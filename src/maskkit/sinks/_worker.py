"""A thread that passes events to a sink, with a bounded queue in front of it."""

import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from maskkit._text import hide_secrets
from maskkit.exceptions import SinkWarning
from maskkit.sinks._base import Sink, WatchEvent, connect_sink

# Events of hours of an entrance, or of minutes of a crowd. Ours.
MAX_QUEUE = 500

# First and longest pause before an event is sent again. Ours.
RETRY_S = (0.5, 60.0)


@dataclass
class _Outage:
    """A time in which the receiver of a sink is away, until no event waits any more."""

    start_s: float
    n_lost_before: int
    n_late: int = 0


class SinkWorker:
    """Passes events to an open sink in a thread, in their order, and sends again what did not arrive.

    When the queue is full, the oldest event that is no alarm is dropped; if there are only alarms, the oldest of them.
    What happens in the thread is reported as SinkWarning by the thread that calls `report` or `close`.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        max_queue: int = MAX_QUEUE,
        retry_s: tuple[float, float] = RETRY_S,
    ):
        self.name = str(getattr(sink, "name", type(sink).__name__))
        self._sink, self._max_queue, self._retry_s = sink, max_queue, retry_s
        self._queue: deque[WatchEvent] = deque()
        self._condition = threading.Condition()
        self._closing, self._expired = threading.Event(), threading.Event()
        self._counts: Counter[str] = Counter()
        self._messages: deque[str] = deque()
        self._outage: _Outage | None = None
        self._thread = threading.Thread(target=self._run, name=f"maskkit sink {self.name}", daemon=True)
        self._thread.start()

    def put(self, event: WatchEvent) -> None:
        """Add an event to the queue; never waits for the sink."""
        with self._condition:
            self._counts["given"] += 1
            self._queue.append(event)
            if len(self._queue) > self._max_queue:
                index = next((index for index, waiting in enumerate(self._queue) if waiting.event != "alarm"), 0)
                del self._queue[index]
                self._lose("dropped", "more events wait than the queue holds; old ones are dropped, alarms last.")
            self._condition.notify()

    def report(self) -> None:
        """Warn of what has gone wrong since the last call."""
        while self._messages:
            text = hide_secrets(f"sink {self.name}: {self._messages.popleft()}")
            # Under the filter "error" the warning is raised here, in the thread of the video. Unlike `warn`, this call
            # does not remember the texts that were shown, so that a second outage is shown like the first.
            warnings.warn_explicit(text, SinkWarning, __file__, 0, module=__name__)

    def finish(self) -> None:
        """End the thread once everything is sent; no event is put any more."""
        with self._condition:
            self._closing.set()
            self._condition.notify()

    def close(self, timeout_s: float) -> None:
        """Wait for at most `timeout_s` until everything is sent; then warn of all events that were lost."""
        self.finish()
        self._thread.join(timeout_s)
        self._expired.set()
        with self._condition:
            counts = self._counts.copy()
        counts["unsent"] = counts["given"] - counts["sent"] - counts["dropped"] - counts["refused"]
        lost = {
            "not confirmed in time": counts["unsent"],
            "dropped from the full queue": counts["dropped"],
            "refused": counts["refused"],
        }
        if n_lost := sum(lost.values()):
            reasons = ", ".join(f"{count} {reason}" for reason, count in lost.items() if count)
            self._messages.append(f"{n_lost} of {counts['given']} events were lost: {reasons}.")
        self.report()

    def _run(self) -> None:
        self._connect()
        while (event := self._take()) is not None:
            self._deliver(event)
        try:
            self._sink.close()
        except (Exception, SystemExit) as exc:  # code of others may raise any type; it is reported, not hidden
            self._messages.append(f"close() failed ({_describe(exc)}).")

    def _connect(self) -> None:
        try:
            connect_sink(self._sink)
        except OSError as exc:
            self._begin_outage(
                f"the receiver cannot be reached ({_describe(exc)}); start it, or correct its address or the login. "
                f"Events wait for it."
            )
        except (Exception, SystemExit) as exc:  # code of others may raise any type; it is reported, not hidden
            self._messages.append(f"connect() failed ({_describe(exc)}).")

    def _take(self) -> WatchEvent | None:
        """Return the next event, or None when there is none to come or the time for the rest is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing.is_set())
            return self._queue.popleft() if self._queue and not self._expired.is_set() else None

    def _deliver(self, event: WatchEvent) -> None:
        first_s, longest_s = self._retry_s
        delay_s, is_late = first_s, False
        while not self._expired.is_set():
            is_over = self._closing.is_set()
            try:
                self._sink.send(event)
            except OSError as exc:
                is_late = True
                self._begin_outage(f"an event cannot be sent ({_describe(exc)}); it is tried again.")
                if is_over:
                    self._expired.wait(delay_s)
                    delay_s = min(2 * delay_s, longest_s)
                else:  # The end of the video cuts a long pause short, because there is little time left.
                    delay_s = first_s if self._closing.wait(delay_s) else min(2 * delay_s, longest_s)
            except (Exception, SystemExit) as exc:  # code of others may raise any type; it is reported, not hidden
                with self._condition:
                    self._lose("refused", f"an event was refused ({_describe(exc)}); others are counted.")
                return
            else:
                with self._condition:
                    self._counts["sent"] += 1
                    self._end_outage(is_late=is_late)
                return

    def _begin_outage(self, message: str) -> None:
        """Report an outage, unless it is reported already."""
        if self._outage is None:
            self._messages.append(message)
            with self._condition:
                self._outage = _Outage(time.monotonic(), self._count_lost())

    def _end_outage(self, *, is_late: bool) -> None:
        """Count an event that was sent after an outage; report its end when no event waits any more."""
        outage = self._outage
        if outage is None:
            return
        if is_late or outage.n_late:  # Behind an event that was late, others waited.
            outage.n_late += 1
        if not self._queue:
            n_lost = self._count_lost() - outage.n_lost_before
            duration_s = time.monotonic() - outage.start_s
            self._messages.append(
                f"events arrive again after {duration_s:,.0f} s: {outage.n_late} late, {n_lost} lost meanwhile."
            )
            self._outage = None

    def _count_lost(self) -> int:
        return self._counts["dropped"] + self._counts["refused"]

    def _lose(self, reason: str, message: str) -> None:
        """Count a lost event, and warn of the first one of its kind."""
        if not self._counts[reason]:
            self._messages.append(message)
        self._counts[reason] += 1


def close_workers(workers: Sequence[SinkWorker], timeout_s: float) -> None:
    """Close several workers, which share the time."""
    for worker in workers:
        worker.finish()
    end_s = time.monotonic() + timeout_s
    for worker in workers:
        worker.close(max(0.0, end_s - time.monotonic()))


def _describe(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}".removesuffix(": ")
