"""maskkit watch."""

import signal
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from maskkit.cli._options import (
    DEFAULT_MODEL,
    MODEL_GROUP,
    OUTPUT_GROUP,
    DetectorOption,
    DeviceOption,
    ModelOption,
    load_model,
    print_json,
)

if TYPE_CHECKING:
    from maskkit import Watch
    from maskkit._display.tables import Table

# Minutes that the table at the end shows; the events have them all.
_MINUTES_SHOWN = 20

_VIDEO, _PERSONS = "Video", "Persons"


class Format(StrEnum):
    """What is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def watch(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Video file, camera (0 is the first), or URL, such as rtsp://."),
    ],
    model: ModelOption = DEFAULT_MODEL,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the video, drawn over, to this .mp4 or .mkv; faces are blurred.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    no_blur: Annotated[
        bool,
        typer.Option("--no-blur", help="Leave the faces in the saved video as they are.", rich_help_panel=OUTPUT_GROUP),
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append the events to this file, as JSON Lines.",
            dir_okay=False,
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    realtime: Annotated[
        bool,
        typer.Option(
            "--realtime",
            help="Play a file at its own speed, and drop frames as if it were live.",
            rich_help_panel=_VIDEO,
        ),
    ] = False,
    every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of a file, look at every Nth frame.", rich_help_panel=_VIDEO)
    ] = 1,
    give_up_after: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long to wait for a stream that has stopped.", rich_help_panel=_VIDEO
        ),
    ] = 600.0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="FFmpeg's for the source, such as video_size=640x480. Repeatable.",
            rich_help_panel=_VIDEO,
        ),
    ] = None,
    min_frames: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="A face in fewer frames does not count.", rich_help_panel=_PERSONS),
    ] = 3,
    hold: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="How long a face may be lost before its person has left.",
            rich_help_panel=_PERSONS,
        ),
    ] = 2.0,
    long_side: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=32,
            help="Side that the detector resizes frames to; less is quicker.",
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show nothing while watching.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
    output: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="table or json at the end, or jsonl: each event as it comes.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = Format.TABLE,
) -> None:
    """Follow the faces in a video; each person counts once.

    The video is a file, a camera or a stream; Ctrl-C ends it.

    Example: maskkit watch 0 --save entrance.mp4 --events entrance.jsonl
    """
    import maskkit

    if no_blur and save is None:
        raise typer.BadParameter("is for the video that --save writes", param_hint="--no-blur")
    options = dict(_split(text) for text in option or ())
    classifier = load_model(model, detector=detector, device=device)
    if long_side is not None:
        _set_long_side(classifier, long_side)
    with ExitStack() as stack:
        log = None if events is None else stack.enter_context(events.open("a", encoding="utf-8"))
        watching = stack.enter_context(
            maskkit.watch(
                classifier,
                source,
                save=save,
                blur=not no_blur,
                realtime=realtime,
                every=every,
                min_frames=min_frames,
                hold_s=hold,
                give_up_after_s=give_up_after,
                options=options,
            )
        )
        stack.enter_context(_stopping(watching))
        end, minutes = _follow(watching, log, printing=output is Format.JSONL, quiet=quiet)
    _print_end(end, minutes, output)
    for path in (save, events):
        if path is not None and path.exists():
            typer.echo(f"written: {path}", err=True)
    _exit(end, is_live=watching.is_live)


def _follow(
    watching: "Watch", log: TextIO | None, *, printing: bool, quiet: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Pass events on as they come; give the last one and those of the last minutes."""
    from maskkit.cli._watch_display import WatchDisplay

    minutes: deque[dict[str, Any]] = deque(maxlen=_MINUTES_SHOWN)
    end: dict[str, Any] = {}
    with WatchDisplay(watching.source, quiet=quiet) as display:
        for step in watching:
            display.show(step)
            for event in step.events:
                if printing:
                    print(event.to_json(), flush=True)
                if log is not None:
                    log.write(event.to_json() + "\n")
                    log.flush()
                if event.event == "minute":
                    minutes.append(event.to_dict())
                if event.event == "end":
                    end = event.to_dict()
    return end, list(minutes)


def _print_end(end: dict[str, Any], minutes: list[dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        print_json({**end, "minutes": minutes})
    elif output is Format.TABLE:
        import rich

        from maskkit._display.tables import to_rich

        for table in _tabulate(end, minutes):
            rich.print(to_rich(table))


def _tabulate(end: dict[str, Any], minutes: list[dict[str, Any]]) -> "Iterator[Table]":
    from maskkit._display.tables import Table

    failed = f", {end['n_failed']:,} failed" if end["n_failed"] else ""
    frames = (
        f"{end['n_read']:,} frames read: {end['n_handled']:,} handled, {end['n_dropped']:,} dropped{failed}; "
        f"greatest lag {end['greatest_lag_s']:.2f} s"
    )
    if len(minutes) > 1:
        decisions = list(dict.fromkeys(decision for minute in minutes for decision in minute["persons"]))
        rows = tuple(
            (_clock(minute["from_s"]), minute["n_persons"], *(minute["persons"].get(name, 0) for name in decisions))
            for minute in minutes
        )
        yield Table("Persons in each minute", ("from", "persons", *decisions), rows)
    total = end["n_persons"]
    rows = tuple((decision, count, f"{count / total:.0%}") for decision, count in end["persons"].items())
    yield Table(end["source"], ("decision", "persons", "share"), rows or (("nobody", 0, "-"),), frames)


def _clock(seconds: float) -> str:
    minutes = round(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02d}:00"


def _exit(end: dict[str, Any], *, is_live: bool) -> None:
    from maskkit.cli import INTERRUPTED
    from maskkit.exceptions import VideoError

    reason = end["reason"]
    if reason == "given_up":
        raise VideoError(f"{end['source']}: the stream stopped and did not come back; --give-up-after waits longer.")
    if reason.startswith("broken"):
        raise VideoError(f"{end['source']}: reading ended before the video did ({reason.removeprefix('broken: ')}).")
    # To end what is live is no interruption.
    if reason == "stopped" and not is_live:
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _stopping(watching: "Watch") -> Iterator[None]:
    """Let Ctrl-C, or the signal that services are stopped with, end in good order; a second one ends at once."""

    def stop(number: int, frame: object) -> None:
        watching.stop()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _set_long_side(classifier: Any, long_side_px: int) -> None:
    if "long_side_px" not in getattr(classifier.detector_, "get_params", dict)():
        raise typer.BadParameter(f"the detector {classifier.detector} resizes nothing", param_hint="--long-side")
    classifier.detector_.set_params(long_side_px=long_side_px)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r}; want NAME=VALUE", param_hint="--option")
    return name, value
