"""Video: faces tracked over frames, one decision per person, and events."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from copy import copy
from typing import TYPE_CHECKING, Any

from maskkit._checks.numbers import check_flag, check_float, check_int
from maskkit._optional import require
from maskkit._video.events import WatchStep
from maskkit._video.persons import Person
from maskkit._video.watcher import Watch
from maskkit.sinks._base import Sink, WatchEvent

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier
    from maskkit._model.predictor import FacePredictor
    from maskkit._video.alarms import AlarmRule
    from maskkit._video.readers import FileReader, LiveReader

__all__ = ["Person", "Watch", "WatchEvent", "WatchStep", "watch"]

# Frames are searched at the small and the usual scale only, because a larger one would take several times as long.
_MAX_PIXELS = 600_000

# Time after which a frame of a live source is searched in full, in seconds. Ours: two cores then process 98 % of 25
# frames per second, and 91 % with 0.3; somebody who comes into the picture waits for half a second at most.
SEARCH_EVERY_S = 0.5

# The default of `watch`, whose signature states it as a number.
_ALARM_EVERY_S = 60.0


def watch(
    classifier: "MaskClassifier",
    source: str | int | os.PathLike[str],
    *,
    save: str | os.PathLike[str] | None = None,
    blur: bool = True,
    realtime: bool = False,
    frame_step: int = 1,
    search_every_s: float | None = None,
    max_faces: int | None = None,
    min_hits: int = 3,
    max_lost_s: float = 2.0,
    reconnect_timeout_s: float = 600.0,
    ffmpeg_options: Mapping[str, str] | None = None,
    alarm_after_s: float | None = None,
    alarm_every_s: float = 60.0,
    snapshot: bool = False,
    sinks: str | Sink | Iterable[str | Sink] = (),
    flush_timeout_s: float = 10.0,
) -> Watch:
    """Track the faces in a video and classify whether each person wears a mask; needs the extra ``watch``.

    Faces are tracked over frames. Each track counts as one person, and the decision on a person is smoothed over about
    the last second. Every frame of a file is processed. A camera or stream is searched in full every `search_every_s`
    seconds, and in between only near tracked faces. It drops the frames for which there is no time, and is reopened
    when it stops. Unlike photos, frames are not searched at larger scales for very small faces, except by a detector
    with ``long_sides_px``.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier.
    source : path, URL or int
        Path to a video file; number or path of a camera; or a URL that FFmpeg opens, such as ``rtsp://``. Only a
        URL uses the network.
    save : path, optional
        Path to write the processed frames with their decisions to, ending in ``.mp4`` or ``.mkv``; without sound.
    blur : bool, default=True
        Whether to make detected faces in that file unrecognizable. A face that the detector never found stays sharp.
    realtime : bool, default=False
        Whether to play a file at its own speed and drop frames as for a camera.
    frame_step : int, >= 1, default=1
        Step between the frames of a file that are processed: 2 is every second frame.
    search_every_s : float, >= 0, optional
        Time after which a frame is searched in full, in seconds. In between, only faces near tracked ones are detected,
        and a person's face is classified every 0.1 to 0.4 s; somebody new is found, and blurred, at the next full
        search. 0 searches every frame. The default is 0.5 for a camera, a stream and `realtime`; it is 0 for a file,
        where the faces in `save` are blurred, and for a detector without ``detect_near``.
    max_faces : int, >= 1, optional
        Largest number of faces of a frame that are classified: the largest ones. The others count as nobody, and are
        blurred all the same. By default all faces are classified.
    min_hits : int, >= 1, default=3
        Number of detections of a face, after the one that starts its track, for it to count as a person. Source:
        `min_hits` of SORT (Bewley et al. 2016, arXiv:1602.00763).
    max_lost_s : float, > 0, default=2
        Time without a detected face after which a person has left, in seconds. The default is ours.
    reconnect_timeout_s : float, >= 0, default=600
        Time to wait for a lost stream to return, in seconds.
    ffmpeg_options : dict, optional
        FFmpeg input options: ``{"video_size": "640x480"}``.
    alarm_after_s : float, >= 0, optional
        Time for which a person wears no mask, or wears it incorrectly, before there is an event ``"alarm"``, in
        seconds. By default there are no alarms.
    alarm_every_s : float, >= 0, default=60
        Least time between two alarms, in seconds. Persons who are due in the meantime are counted in the next one.
    snapshot : bool, default=False
        Whether alarms have a JPEG of the frame, which the sinks ``webhook`` and ``mqtt`` send. Detected faces in it are
        always made unrecognizable, whatever `blur` is. A face that the detector never found stays sharp.
    sinks : str, Sink, or several of them, default=()
        Where events are sent, too: names such as ``"webhook:https://host/path"`` or ``"jsonl:events.jsonl"``, or
        objects.
    flush_timeout_s : float, >= 0, default=10
        Time for sending the last events to the sinks when the video has ended, in seconds.

    Returns
    -------
    watching : Watch
        An iterator of `WatchStep`, and a context manager that closes everything.

    Raises
    ------
    MissingLibraryError
        If PyAV or trackers is not installed.
    PluginError
        If a sink is unknown or cannot be used.
    VideoError
        If the source cannot be opened or contains no video, or `save` cannot be written.
    OutputError
        If `save` exists, before anything is computed: no file is replaced.
    TypeError, ValueError
        If a parameter is of another type or out of its range, or the detector does not support `search_every_s`.

    Notes
    -----
    Nothing is stored except the file `save`, and nothing is sent except to `sinks`. A person who leaves and comes back
    is a new person: faces are tracked, never recognized.

    Examples
    --------
    >>> model = MaskClassifier.from_pretrained()  # doctest: +SKIP
    >>> with maskkit.watch(model, "entrance.mp4") as watching:  # doctest: +SKIP
    ...     for step in watching:
    ...         for event in step.events:
    ...             print(event.to_json())
    """
    for library in ("av", "trackers"):
        require(library, "watch")
    from maskkit._video.persons import Persons
    from maskkit._video.tracking import FaceTracker
    from maskkit._video.writer import VideoWriter
    from maskkit.sinks._base import open_sink, resolve_sinks
    from maskkit.sinks._worker import SinkWorker

    _check_types(classifier, blur=blur, realtime=realtime, snapshot=snapshot)
    frame_step, min_hits = check_int(frame_step, "frame_step", 1), check_int(min_hits, "min_hits", 1)
    max_lost_s = check_float(max_lost_s, "max_lost_s", 0, include_boundaries="neither")
    reconnect_timeout_s = check_float(reconnect_timeout_s, "reconnect_timeout_s", 0)
    flush_timeout_s = check_float(flush_timeout_s, "flush_timeout_s", 0)
    alarm = _make_alarm_rule(alarm_after_s, alarm_every_s, classifier, snapshot=snapshot)
    receivers = resolve_sinks(sinks)
    with ExitStack() as undo:
        reader = _open_reader(source, ffmpeg_options or {}, realtime, frame_step, reconnect_timeout_s)
        undo.callback(reader.close)
        for sink in receivers:
            open_sink(sink)
            undo.callback(sink.close)
        writer = None if save is None else undo.enter_context(closing(VideoWriter(save)))
        # Each crop is seen once, so that a feature cache would never be used, and one on disk would store faces.
        predictor = copy(classifier).set_params(cache=None).predictor_
        predictor = predictor.limit_scales(_MAX_PIXELS).limit_faces(max_faces)
        every_s = _choose_search_every(search_every_s, predictor, full=not reader.is_live or bool(writer and blur))
        undo.pop_all()
    return Watch(
        predictor,
        reader,
        FaceTracker(max_lost_s, keeps_new=every_s > 0),
        Persons(predictor.rule, min_hits),
        search_every_s=every_s,
        alarm=alarm,
        snapshot=snapshot,
        writer=writer,
        blur=blur,
        workers=[SinkWorker(sink) for sink in receivers],
        flush_timeout_s=flush_timeout_s,
    )


def _check_types(classifier: Any, **flags: Any) -> None:
    from sklearn.utils.validation import check_is_fitted

    if not hasattr(classifier, "fit"):
        raise TypeError(
            f"classifier is of type {type(classifier).__name__}; want a fitted MaskClassifier, such as "
            f"MaskClassifier.from_pretrained()."
        )
    check_is_fitted(classifier)
    for name, flag in flags.items():
        check_flag(flag, name)


def _open_reader(
    source: Any, ffmpeg_options: Mapping[str, str], realtime: bool, frame_step: int, reconnect_timeout_s: float
) -> "FileReader | LiveReader":
    """Open a source; raise ValueError if frames of a live one are to be left out."""
    from maskkit._video.readers import FileReader, LiveReader
    from maskkit._video.sources import parse_source

    if not isinstance(ffmpeg_options, Mapping):
        raise TypeError(
            f"ffmpeg_options is of type {type(ffmpeg_options).__name__}; want a dict: {{'video_size': '640x480'}}."
        )
    video = parse_source(source, {name: str(value) for name, value in ffmpeg_options.items()})
    container, stream = video.open()
    # A URL with a known duration is a recording, and is read like a file.
    is_live = video.is_camera or (video.is_url and not container.duration)
    if not is_live and not realtime:
        return FileReader(video, container, stream, frame_step)
    if frame_step > 1:
        container.close()
        raise ValueError(
            f"frame_step={frame_step}: is for files without realtime; cameras and realtime drop frames themselves."
        )
    return LiveReader(video, container, stream, reconnect_timeout_s, paced=not is_live)


def _choose_search_every(every_s: Any, predictor: "FacePredictor", *, full: bool) -> float:
    """Return the time after which a frame is searched in full, by default 0 if `full` or the detector cannot do less.

    Raises ValueError if a time is given and the detector cannot do less, or it is out of range.
    """
    can_search_near = hasattr(predictor.detector, "detect_near")
    if every_s is None:
        return SEARCH_EVERY_S if can_search_near and not full else 0.0
    every_s = check_float(every_s, "search_every_s", 0)
    if every_s and not can_search_near:
        raise ValueError(
            f"search_every_s={every_s:g} (--search-every on the command line): the detector {predictor.detector_name} "
            f"has no method detect_near, and always searches in full; pass 0 or leave it out."
        )
    return every_s


def _make_alarm_rule(after_s: Any, every_s: Any, classifier: Any, *, snapshot: bool) -> "AlarmRule | None":
    """Return the rule, or None without alarms.

    Raises ValueError if a time is out of range, there is nothing that the options of alarms are for, or the model knows
    nobody without a mask.
    """
    from maskkit._video.alarms import AlarmRule, is_unprotected

    if after_s is None:
        if snapshot or every_s != _ALARM_EVERY_S:
            given = "snapshot=True" if snapshot else f"alarm_every_s={every_s!r} (--alarm-every on the command line)"
            raise ValueError(
                f"{given} is for alarms, of which there are none; pass alarm_after_s=3 "
                f"(--alarm-after 3 on the command line)."
            )
        return None
    after_s, every_s = check_float(after_s, "alarm_after_s", 0), check_float(every_s, "alarm_every_s", 0)
    if not any(map(is_unprotected, classifier.classes_)):
        raise ValueError(
            f"there can be no alarms, because the classes of the model are "
            f"{', '.join(map(repr, classifier.classes_))}; want a model with one such as 'without_mask'."
        )
    return AlarmRule(after_s, every_s)
