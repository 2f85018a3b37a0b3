"""What watching yields: frames with who is in them, and events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from PIL import Image

from maskkit._display.drawing import blur_faces, draw_faces
from maskkit._images.crop import Box
from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult
from maskkit._video.items import FrameCounts
from maskkit._video.persons import Person

EVENT_VERSION = 1
"""Of the events' fields: raised when one is taken away or changes its meaning."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something worth telling.

    Attributes
    ----------
    event : str
        ``"appeared"``, ``"decided"``, ``"changed"``, ``"left"``, ``"minute"``, ``"stream_lost"``,
        ``"stream_back"`` or ``"end"``.
    time_s : float
        Seconds of the stream.
    utc : datetime
        When that was; for a file, when it was looked at.
    details : dict
        What else there is to tell, by event.
    """

    event: str
    time_s: float
    utc: datetime
    details: Mapping[str, Any] = field(hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "version": EVENT_VERSION,
            "event": self.event,
            "time_s": round(self.time_s, 3),
            "utc": self.utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **self.details,
        }

    def to_json(self) -> str:
        """Give `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


@dataclass(frozen=True, eq=False, repr=False)
class WatchStep:
    """A frame that was handled, or events without one.

    Attributes
    ----------
    time_s : float
        Seconds of the stream.
    utc : datetime
    events : tuple of WatchEvent
        What happened here; mostly nothing.
    persons : tuple of Person
        Who is in this frame.
    photo : PhotoResult or None
        The faces of this frame by themselves; None where there is no frame.
    missing : tuple of boxes
        Where faces ought to be that the detector did not find in this frame.
    lag_s : float
        From when the frame came to when it was done.
    frames : FrameCounts
        Frames read, handled, dropped and failed so far.
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
        """The frame, (H, W, 3) uint8, with its faces as they are; None where there is none."""
        return None if self.photo is None else np.asarray(self.photo.source, dtype=np.uint8)

    def draw(self, *, blur: bool = True) -> Image.Image:
        """Draw the smoothed decisions over the frame.

        Parameters
        ----------
        blur : bool, default=True
            Make all faces unrecognisable first, also those that the detector has just lost.

        Raises
        ------
        ValueError
            If the step has no frame.
        """
        if self.photo is None:
            raise ValueError("this step has no frame to draw; look at `photo` first.")
        picture = Image.fromarray(np.asarray(self.image))
        if blur:
            picture = blur_faces(picture, [*(face.box for face in self.photo), *self._missing_inside(picture.size)])
        boxes = [person.face.box for person in self.persons]
        labels = [(person.decision, person.probability or person.face.probability) for person in self.persons]
        classes = list(self.photo[0].probabilities) if len(self.photo) else []
        return draw_faces(picture, boxes, labels, classes)

    def _missing_inside(self, size: tuple[int, int]) -> list[Box]:
        width, height = size
        clipped = [(max(0, x0), max(0, y0), min(width, x1), min(height, y1)) for x0, y0, x1, y1 in self.missing]
        return [box for box in clipped if box[0] < box[2] and box[1] < box[3]]
