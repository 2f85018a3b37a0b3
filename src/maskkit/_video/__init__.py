"""Video: faces followed over frames, one decision a person, events."""

import os
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from maskkit._optional import require
from maskkit._video.persons import Person
from maskkit._video.steps import WatchEvent, WatchStep
from maskkit._video.watching import Watch

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier

__all__ = ["Person", "Watch", "WatchEvent", "WatchStep", "watch"]


def watch(
    classifier: "MaskClassifier",
    source: str | int | os.PathLike[str],
    *,
    save: str | os.PathLike[str] | None = None,
    blur: bool = True,
    realtime: bool = False,
    every: int = 1,
    min_frames: int = 3,
    hold_s: float = 2.0,
    give_up_after_s: float = 600.0,
    options: Mapping[str, str] | None = None,
) -> Watch:
    """Follow the faces in a video, and tell who wears a mask; needs the extra ``watch``.

    A person counts once: faces are followed over frames, and the decision is that of all that was seen of
    the face lately. A file is looked at whole. A camera or stream drops the frames that there is no time
    for, and is opened again when it stops.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted.
    source : path, URL or int
        A video file; the number or path of a camera; or ``rtsp://`` and whatever else FFmpeg opens, which is
        the one thing here that uses the network.
    save : path, optional
        Write the frames that were looked at, drawn over, to this ``.mp4`` or ``.mkv``; without sound.
    blur : bool, default=True
        Make the faces in that file unrecognisable.
    realtime : bool, default=False
        Play a file at its own speed and drop frames as if it were live.
    every : int, >= 1, default=1
        Of a file, look at every N-th frame.
    min_frames : int, >= 1, default=3
        A face followed over fewer frames does not count. Source: SORT's `min_hits` (Bewley et al. 2016,
        arXiv:1602.00763).
    hold_s : float, > 0, default=2
        How long a face that is not found is waited for before its person has left. Ours.
    give_up_after_s : float, >= 0, default=600
        How long a stream that has stopped is waited for.
    options : dict, optional
        FFmpeg's for the source: ``{"video_size": "640x480"}``.

    Returns
    -------
    watching : Watch
        An iterator of `WatchStep`, and a context manager that closes everything.

    Raises
    ------
    MissingLibraryError
        If PyAV or trackers is not installed.
    VideoError
        If the source cannot be opened or holds no video, or `save` cannot be written.
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Nothing is stored but what `save` asks for. Who leaves and comes back is a new person: faces are followed,
    never recognised.

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
    from sklearn.utils.validation import check_is_fitted

    from maskkit._video.frames import Live, Recording
    from maskkit._video.items import FrameCounts
    from maskkit._video.persons import Persons
    from maskkit._video.sources import find_place
    from maskkit._video.tracks import FaceTracker
    from maskkit._video.writer import VideoWriter
    from maskkit.exceptions import VideoError

    check_is_fitted(classifier)
    for name, value in (("every", every), ("min_frames", min_frames)):
        if value < 1:
            raise ValueError(f"{name}={value!r} is too small; want at least 1.")
    if not hold_s > 0 or not give_up_after_s >= 0:
        raise ValueError(f"hold_s={hold_s!r}, give_up_after_s={give_up_after_s!r}; want more than 0, and at least 0.")
    place = find_place(source, dict(options or {}))
    if save is not None and place.is_file and Path(save).resolve() == Path(place.url).resolve():
        raise VideoError(f"{save}: is the video itself; choose another name.")
    container, stream = place.open()
    counts = FrameCounts()
    # What has a length is a recording, wherever it lies.
    is_live = place.is_camera or (place.is_url and not container.duration)
    if every > 1 and (is_live or realtime):
        container.close()
        raise ValueError(f"every={every}: is for files looked at whole; what is live drops frames by itself.")
    try:
        writer = None if save is None else VideoWriter(save)
    except VideoError:
        container.close()
        raise
    # Each crop is seen once: features kept in memory would help nobody, and those in a file would store faces.
    predictor = copy(classifier).set_params(cache=None).predictor_
    return Watch(
        predictor.read_photo,
        Live(place, container, stream, counts, paced=not is_live, give_up_after_s=give_up_after_s)
        if is_live or realtime
        else Recording(place, container, stream, counts, every=every),
        FaceTracker(hold_s),
        Persons(predictor.rule, min_frames),
        writer=writer,
        blur=blur,
    )
