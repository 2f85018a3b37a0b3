"""Values passed between the stages of watching a video: frames, events and steps."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TextIO

import numpy as np
from PIL import Image

from maskkit._display.drawing import blur_faces, draw_faces
from maskkit._files.outputs import check_output_folder
from maskkit._images.crop import Box
from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult
from maskkit._text import check_path, to_json
from maskkit._video.display import to_displayed_rgb
from maskkit._video.persons import Person
from maskkit.exceptions import OutputError

EVENT_VERSION = 1
"""Version of the fields of events: raised when a field is removed or changes its meaning."""


# A first line that is longer is none of an event.
_MAX_EVENT_BYTES = 65_536


def open_event_file(path: str | os.PathLike[str]) -> TextIO:
    """Open a JSON Lines file to append events to; raise OutputError if it holds something else."""
    path = check_path(path, OutputError)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; pass the name of a file.")
    check_output_folder(path.absolute().parent).mkdir(parents=True, exist_ok=True)
    ends_in_line = True
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if not _is_event(file.readline(_MAX_EVENT_BYTES)):
                raise OutputError(f"{path}: holds something else than events; choose another name.")
            file.seek(-1, os.SEEK_END)
            ends_in_line = file.read() == b"\n"
    log = path.open("a", encoding="utf-8")
    # A process that was killed may have left half a line.
    log.write("" if ends_in_line else "\n")
    return log


def _is_event(line: bytes) -> bool:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys() >= {"event"}


class Frame(NamedTuple):
    """A frame as FFmpeg decoded it, not yet converted to RGB."""

    picture: Any
    time_s: float
    utc: datetime
    due_s: float
    """Earliest time at which it could be processed, on the clock of `time.monotonic`."""
    aspect: float = 1.0
    """Width of a pixel relative to its height."""
    jump_s: float | None = None
    """Leap of the timestamps since the last frame; None if they went on."""

    def to_rgb(self) -> RgbImage:
        """Return the image as players show it, (H, W, 3) uint8."""
        return to_displayed_rgb(self.picture, self.aspect)


@dataclass(slots=True)
class FrameCounts:
    """Numbers of frames; at the end ``n_read == n_processed + n_dropped + n_failed + n_skipped``.

    Attributes
    ----------
    n_read : int
        Frames that were read.
    n_processed : int
        Frames that were searched for faces.
    n_dropped : int
        Frames for which there was no time, because a newer one had arrived.
    n_failed : int
        Frames that could not be decoded, or on which the detector failed.
    n_skipped : int
        Frames that were left out because of `frame_step`.
    last_failure : str or None
        Reason of the last failed frame.
    """

    n_read: int = 0
    n_processed: int = 0
    n_dropped: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    last_failure: str | None = None


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """An event in a video.

    Attributes
    ----------
    event : str
        Kind of the event: ``"appeared"``, ``"decided"``, ``"changed"``, ``"left"``, ``"minute"``,
        ``"time_jump"``, ``"stream_lost"``, ``"stream_restored"`` or ``"end"``.
    time_s : float
        Time of the event, in seconds of the stream.
    utc : datetime
        Time of day of the event; for a file, of its processing.
    details : dict
        Further fields, which depend on the kind.
    """

    event: str
    time_s: float
    utc: datetime
    details: Mapping[str, Any] = field(hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values for JSON."""
        return {
            "version": EVENT_VERSION,
            "event": self.event,
            "time_s": round(self.time_s, 3),
            "utc": self.utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **self.details,
        }

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return to_json(self.to_dict())


@dataclass(frozen=True, eq=False, repr=False)
class WatchStep:
    """A processed frame, or events without a frame.

    Attributes
    ----------
    time_s : float
        Time of the frame, in seconds of the stream.
    utc : datetime
        Time of day of the frame; for a file, of its processing.
    events : tuple of WatchEvent
        Events of this frame; empty for most frames.
    persons : tuple of Person
        Persons in this frame.
    photo : PhotoResult or None
        Faces of this frame, not smoothed; None without a frame.
    missing : tuple of boxes
        Predicted boxes of tracked faces that were not detected in this frame.
    lag_s : float
        Time from the arrival of the frame to the end of its processing, in seconds.
    frames : FrameCounts
        Numbers of frames read, processed, dropped, failed and skipped so far.
    """

    time_s: float
    utc: datetime
    events: tuple[WatchEvent, ...]
    persons: tuple[Person, ...] = ()
    photo: PhotoResult | None = None
    missing: tuple[Box, ...] = ()
    lag_s: float = 0.0
    frames: FrameCounts = field(default_factory=FrameCounts)

    def __repr__(self) -> str:
        return f"<WatchStep {self.time_s:.2f} s: {len(self.persons)} persons, {len(self.events)} events>"

    @property
    def image(self) -> RgbImage | None:
        """The frame as (H, W, 3) uint8, faces not blurred; None without a frame."""
        return None if self.photo is None else np.asarray(self.photo.source, dtype=np.uint8)

    def draw(self, *, blur: bool = True) -> Image.Image:
        """Draw the smoothed decisions over the frame.

        Parameters
        ----------
        blur : bool, default=True
            Whether to make the detected faces unrecognizable first, including those that the detector has just lost.
            A face that it never found stays sharp.

        Raises
        ------
        ValueError
            If the step has no frame.
        """
        if self.photo is None:
            raise ValueError("this step has no frame to draw; check that `photo` is not None.")
        picture = Image.fromarray(np.asarray(self.image))
        if blur:
            picture = blur_faces(picture, [*(face.box for face in self.photo), *self._missing_inside(picture.size)])
        boxes = [person.face.box for person in self.persons]
        labels = [(person.decision, person.probability or person.face.probability) for person in self.persons]
        classes = list(self.photo[0].probabilities) if len(self.photo) else []
        return draw_faces(picture, boxes, labels, classes, numbers=[person.number for person in self.persons])

    def _missing_inside(self, size: tuple[int, int]) -> list[Box]:
        """Clip the predicted boxes to the image, and drop those outside."""
        width, height = size
        clipped = [(max(0, x0), max(0, y0), min(width, x1), min(height, y1)) for x0, y0, x1, y1 in self.missing]
        return [box for box in clipped if box[0] < box[2] and box[1] < box[3]]
