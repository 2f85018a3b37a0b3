"""maskkit watch."""

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from maskkit import _plugins
from maskkit._text import print_json
from maskkit.cli import _options as shared
from maskkit.cli._inputs import load_model
from maskkit.cli._options import OUTPUT_GROUP, flag, option, out_option
from maskkit.cli._outputs import print_written

if TYPE_CHECKING:
    from maskkit import Watch, WatchEvent
    from maskkit._display.tables import Table
    from maskkit.sinks import JsonlSink, Sink

# Number of last minutes in the table at the end; the events contain all of them.
_MINUTES_SHOWN = 20

VIDEO_GROUP, TRACKING_GROUP, EVENTS_GROUP = "Video", "Tracking", "Events and alarms"

Format: TypeAlias = Literal["table", "json", "jsonl"]


SourceArgument = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="Video file, camera number (0 is the first), or URL such as rtsp://."),
]
RealtimeOption = Annotated[
    bool, flag("--realtime", "Play a file at its own speed, dropping frames as for a camera.", VIDEO_GROUP)
]
FrameStepOption = Annotated[int, option("N", "Process every N-th frame of a file.", VIDEO_GROUP, min=1)]
SearchEveryOption = Annotated[
    float | None,
    option(
        "SECONDS",
        "Time after which a frame is searched in full, not only near tracked faces; 0: every frame. By default 0.5 "
        "for live video, and 0 for a file and for a blurred --out.",
        VIDEO_GROUP,
        min=0,
    ),
]
ReconnectTimeoutOption = Annotated[
    float, option("SECONDS", "Time to wait for a lost stream to return.", VIDEO_GROUP, min=0)
]
FfmpegOptionOption = Annotated[
    list[str] | None,
    option("NAME=VALUE", "FFmpeg input option, such as video_size=640x480. Repeatable.", VIDEO_GROUP),
]
MaxFacesOption = Annotated[
    int | None, option("N", "Classify only the N largest faces of a frame; the others are blurred.", VIDEO_GROUP, min=1)
]
MinHitsOption = Annotated[
    int,
    option("N", "Number of detections after the first that make a face count as a person.", TRACKING_GROUP, min=1),
]
MaxLostOption = Annotated[
    float, option("SECONDS", "Time without a detected face after which a person has left.", TRACKING_GROUP, min=0.1)
]
OutOption = Annotated[
    Path | None,
    out_option(
        "FILE",
        "Write the annotated video to this new .mp4 or .mkv file. Faces are blurred unless --no-blur; "
        "one that is not detected stays sharp.",
    ),
]
NoBlurOption = Annotated[bool, flag("--no-blur", "Do not blur faces in the video of --out.", OUTPUT_GROUP)]
EventsOption = Annotated[
    Path | None,
    option(
        "FILE", "Append the events to this JSON Lines file, which is new or holds events.", EVENTS_GROUP, dir_okay=False
    ),
]
SinkOption = Annotated[
    list[str] | None,
    option(
        "SPEC",
        "Also send the events there: NAME or NAME:ARGUMENT, such as webhook:https://host/path. Repeatable.",
        EVENTS_GROUP,
        autocompletion=lambda: _plugins.names("sinks"),
    ),
]
FlushTimeoutOption = Annotated[
    float, option("SECONDS", "Time for sending the last events to the sinks at the end.", EVENTS_GROUP, min=0)
]
AlarmAfterOption = Annotated[
    float | None,
    option(
        "SECONDS",
        "Report an alarm when a person wears no mask, or wears it incorrectly, for so long. By default there are none.",
        EVENTS_GROUP,
        min=0,
    ),
]
AlarmEveryOption = Annotated[
    float,
    option("SECONDS", "Least time between two alarms; the next one counts the persons between.", EVENTS_GROUP, min=0),
]
SnapshotOption = Annotated[
    bool, flag("--snapshot", "Send a picture with each alarm, with blurred faces, to webhook and mqtt.", EVENTS_GROUP)
]
OutputOption = Annotated[
    Format,
    option(
        "FORMAT",
        "Output format: table or json at the end, or jsonl with each event as it happens.",
        OUTPUT_GROUP,
        "--format",
        "-f",
    ),
]


def watch(
    source: SourceArgument,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    threshold: shared.ThresholdOption = None,
    min_size: shared.MinSizeOption = None,
    device: shared.DeviceOption = "auto",
    realtime: RealtimeOption = False,
    frame_step: FrameStepOption = 1,
    search_every: SearchEveryOption = None,
    reconnect_timeout: ReconnectTimeoutOption = 600.0,
    ffmpeg_option: FfmpegOptionOption = None,
    max_faces: MaxFacesOption = None,
    min_hits: MinHitsOption = 3,
    max_lost: MaxLostOption = 2.0,
    out: OutOption = None,
    no_blur: NoBlurOption = False,
    events: EventsOption = None,
    sink: SinkOption = None,
    flush_timeout: FlushTimeoutOption = 10.0,
    alarm_after: AlarmAfterOption = None,
    alarm_every: AlarmEveryOption = 60.0,
    snapshot: SnapshotOption = False,
    quiet: shared.QuietOption = False,
    output: OutputOption = "table",
) -> None:
    r"""Track faces in a video and count people by predicted class.

    Each track counts as one person; somebody who leaves and returns counts
    again. Press Ctrl-C to stop: files are closed and the totals printed; a
    second Ctrl-C stops at once. Requires pip install 'maskkit\[watch]'.

    Example: maskkit watch 0 --out entrance.mp4 --events entrance.jsonl
    """
    import maskkit
    from maskkit.sinks._base import resolve_sinks

    _check_out(out, no_blur=no_blur)
    sinks, options = resolve_sinks(sink or ()), dict(map(_split_option, ffmpeg_option or ()))
    classifier = load_model(
        model, detector=detector, detector_size=detector_size, device=device, threshold=threshold, min_size_px=min_size
    )
    watching = maskkit.watch(
        classifier,
        source,
        save=out,
        blur=not no_blur,
        realtime=realtime,
        frame_step=frame_step,
        search_every_s=search_every,
        max_faces=max_faces,
        min_hits=min_hits,
        max_lost_s=max_lost,
        reconnect_timeout_s=reconnect_timeout,
        ffmpeg_options=options,
        alarm_after_s=alarm_after,
        alarm_every_s=alarm_every,
        snapshot=snapshot,
        sinks=sinks,
        flush_timeout_s=flush_timeout,
    )
    log = nullcontext() if events is None else _open_log(events, out)
    with watching, log as log_sink, stop_on_signal(watching):
        end, minutes = _follow(watching, log_sink, printing=output == "jsonl", quiet=quiet)
    _print_end(end, minutes, output, is_live=watching.is_live)
    _print_files(out, events, sinks)
    _raise_unless_complete(end, is_live=watching.is_live)


def _check_out(out: Path | None, *, no_blur: bool) -> None:
    from maskkit._files.outputs import check_new

    if no_blur and out is None:
        raise typer.BadParameter("is for the video that --out writes", param_hint="--no-blur")
    if out is not None:
        check_new(os.fspath(out))


@contextmanager
def _open_log(path: Path, out: Path | None) -> "Iterator[JsonlSink]":
    from maskkit._files.outputs import identify
    from maskkit.sinks import JsonlSink

    # After --out, which has taken a new file. Before its first frame that is empty, as a file of events may be.
    if out is not None and identify(out) == identify(path):
        raise typer.BadParameter(f"{path}: is the video that --out writes", param_hint="--events")
    log = JsonlSink(path)
    log.open()
    try:
        yield log
    finally:
        log.close()


def _follow(
    watching: "Watch", log: "JsonlSink | None", *, printing: bool, quiet: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Print and log events as they happen; return the end event and those of the last minutes."""
    from maskkit.cli._watch_display import WatchDisplay

    minutes: deque[dict[str, Any]] = deque(maxlen=_MINUTES_SHOWN)
    end: dict[str, Any] = {}
    with WatchDisplay(watching.source, is_live=watching.is_live, quiet=quiet) as display:
        for step in watching:
            display.show(step)
            for event in step.events:
                if printing:
                    _print_event(event)
                if log is not None:
                    log.send(event)
                if event.event == "minute":
                    minutes.append(event.to_dict())
                if event.event == "end":
                    end = event.to_dict()
    return end, list(minutes)


def _print_event(event: "WatchEvent") -> None:
    try:
        print_json(event.to_dict())
    except BrokenPipeError as exc:
        exc.add_note(
            f"standard output was closed, so watching stopped at {event.time_s:.1f} s; --events FILE writes the events "
            f"to a file."
        )
        raise


def _print_end(end: dict[str, Any], minutes: list[dict[str, Any]], output: Format, *, is_live: bool) -> None:
    if output == "json":
        print_json({**end, "minutes": minutes}, indent=2)
    elif output == "table":
        import rich

        rich.print(*_tabulate(end, minutes, is_live=is_live))


def _tabulate(end: dict[str, Any], minutes: list[dict[str, Any]], *, is_live: bool) -> "Iterator[Table]":
    from maskkit._display.tables import Table
    from maskkit.cli._watch_display import format_time

    counted = {name: end[f"n_{name}"] for name in ("processed", "skipped", "dropped", "failed")}
    searched = f" ({end['n_searched']:,} searched in full)" if end["n_searched"] < end["n_processed"] else ""
    counts = ", ".join(
        f"{count:,} {name}{searched if name == 'processed' else ''}"
        for name, count in counted.items()
        if count or name in ("processed", "dropped")
    )
    # A frame of a file waits for nobody but the one before it.
    lag = f"; maximum lag {end['max_lag_s']:.2f} s" if is_live else ""
    failure = f"; last failure: {end['last_failure']}" if end["n_failed"] else ""
    alarms = f"; alarms: {end['n_alarms']}, persons due for one: {end['n_alarm_persons']}" if "n_alarms" in end else ""
    frames = f"{end['n_read']:,} frames read: {counts}{lag}{failure}{alarms}"
    if len(minutes) > 1:
        decisions = list(dict.fromkeys(decision for minute in minutes for decision in minute["persons"]))
        rows = tuple(
            (
                format_time(minute["from_s"]),
                minute["n_persons"],
                *(minute["persons"].get(name, 0) for name in decisions),
            )
            for minute in minutes
        )
        yield Table("Persons per minute", ("from", "persons", *decisions), rows)
    total = end["n_persons"]
    # Each person has one decision, so that the shares add up to 100 %.
    rows = tuple((decision, count, f"{count / total:.0%}") for decision, count in end["persons"].items())
    yield Table(end["source"], ("decision", "persons", "share"), rows or (("nobody", 0, "-"),), frames)


def _print_files(out: Path | None, events: Path | None, sinks: "Sequence[Sink]") -> None:
    from maskkit.sinks import JsonlSink

    for path in (out, events, *(sink.path for sink in sinks if isinstance(sink, JsonlSink))):
        if path is not None and os.path.exists(path):
            print_written(path)


def _raise_unless_complete(end: dict[str, Any], *, is_live: bool) -> None:
    from maskkit.exceptions import VideoError

    reason = end["reason"]
    if reason == "ended" and not end["n_processed"]:
        raise VideoError(
            f"{end['source']}: none of its {end['n_read']:,} frames could be decoded and searched; check that the file "
            f"is complete, and convert it to another format if it is."
        )
    if reason == "reconnect_timeout":
        raise VideoError(
            f"{end['source']}: the stream stopped and did not come back; pass a longer --reconnect-timeout."
        )
    if reason.startswith("broken"):
        raise VideoError(f"{end['source']}: reading ended before the video did ({reason.removeprefix('broken: ')}).")
    # A live source has no end of its own: stopping it is the normal end and not an interruption.
    if reason == "stopped" and not is_live:
        raise KeyboardInterrupt


@contextmanager
def stop_on_signal(watching: "Watch") -> Iterator[None]:
    """Stop cleanly on SIGINT or SIGTERM. A second signal has its usual effect: it stops at once."""

    def stop(number: int, frame: object) -> None:
        watching.stop()
        # The second signal reaches the handler that was there before.
        signal.signal(number, before[signal.Signals(number)])

    before = {}
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)
            stack.callback(signal.signal, number, before[number])
        yield


def _split_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        # What was passed is not shown, because it may be a password.
        raise typer.BadParameter("want NAME=VALUE, such as video_size=640x480", param_hint="--ffmpeg-option")
    return name, value
