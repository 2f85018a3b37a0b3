"""What comes out of a video, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from maskkit._images.load import RgbImage


class Frame(NamedTuple):
    """A picture as FFmpeg decoded it, not yet converted."""

    picture: Any
    time_s: float
    utc: datetime
    due_s: float
    """When it could first have been handled, on the clock of `time.monotonic`."""

    def to_rgb(self) -> RgbImage:
        """Give the upright picture as (H, W, 3) uint8."""
        image = self.picture.to_ndarray(format="rgb24")
        # Phones store how they were held beside the picture.
        return np.ascontiguousarray(np.rot90(image, round(self.picture.rotation / 90)))


class Change(NamedTuple):
    """The stream has gone, or come back."""

    event: str
    time_s: float
    utc: datetime
    details: dict[str, Any]


Item: TypeAlias = Frame | Change | None
"""None says that time passes and nothing comes."""


@dataclass(slots=True)
class FrameCounts:
    """What became of frames; at the end ``n_read == n_handled + n_dropped + n_failed``.

    Attributes
    ----------
    n_read : int
        Frames that came.
    n_handled : int
        Frames in which faces were looked for.
    n_dropped : int
        Frames passed over: a newer one was there before their turn, or `every` said so.
    n_failed : int
        Frames that could not be decoded, or that the detector could not bear.
    """

    n_read: int = 0
    n_handled: int = 0
    n_dropped: int = 0
    n_failed: int = 0
