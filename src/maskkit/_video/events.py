"""Values passed between the stages of watching a video: frames and steps."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from maskkit._checks.numbers import check_flag
from maskkit._display.drawing import blur_faces, draw_faces
from maskkit._files.outputs import encode_picture
from maskkit._images.crop import Box
from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult
from maskkit._video.display import to_displayed_rgb
from maskkit._video.persons import Person
from maskkit.sinks._base import WatchEvent

# Large enough for a phone, and small enough for hundreds of alarms that wait in memory: about 100 kB each.
_SNAPSHOT_SIZE = (1280, 1280)


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
        Frames in which faces were detected.
    n_searched : int
        Those among them that were searched in full, and not only near tracked faces.
    n_dropped : int
        Frames for which there was no time, because a newer one had arrived, or the video was stopped.
    n_failed : int
        Frames that could not be decoded, or on which the detector failed.
    n_skipped : int
        Frames that were left out because of `frame_step`.
    last_failure : str or None
        Reason of the last failed frame.
    """

    n_read: int = 0
    n_processed: int = 0
    n_searched: int = 0
    n_dropped: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    last_failure: str | None = None


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
        Faces of this frame, not smoothed; None without a frame. Between full searches, a person's face keeps the class
        and probabilities of up to 0.4 s before.
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
            Whether to make the detected faces unrecognizable first, including those that are not classified, and
            those that the detector has just lost. A face that it never found stays sharp, and so does a new one until
            the next full search.

        Raises
        ------
        ValueError
            If the step has no frame.
        """
        if self.photo is None:
            raise ValueError("this step has no frame to draw; check that `photo` is not None.")
        picture = Image.fromarray(np.asarray(self.image))
        if check_flag(blur, "blur"):
            found = [*(face.box for face in self.photo), *self.photo.left_out]
            picture = blur_faces(picture, [*found, *self._missing_inside(picture.size)])
        boxes = [person.face.box for person in self.persons]
        labels = [(person.decision, person.probability or person.face.probability) for person in self.persons]
        classes = list(self.photo[0].probabilities) if len(self.photo) else []
        return draw_faces(picture, boxes, labels, classes, numbers=[person.number for person in self.persons])

    def to_jpeg(self) -> bytes:
        """Return the drawn frame with blurred faces as a JPEG file, at most 1,280 px long; as `draw` raises."""
        picture = self.draw()
        picture.thumbnail(_SNAPSHOT_SIZE)
        return encode_picture(picture, "frame.jpg", quality=80)

    def _missing_inside(self, size: tuple[int, int]) -> list[Box]:
        """Clip the predicted boxes to the image, and drop those outside."""
        width, height = size
        clipped = [(max(0, x0), max(0, y0), min(width, x1), min(height, y1)) for x0, y0, x1, y1 in self.missing]
        return [box for box in clipped if box[0] < box[2] and box[1] < box[3]]
