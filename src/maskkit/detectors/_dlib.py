"""Conversion of dlib's results."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from maskkit.detectors._base import Faces


def to_faces(rectangles: Iterable[Any], scores: Iterable[float]) -> Faces:
    """Convert dlib's rectangles, which include their last row and column, to `Faces`."""
    boxes = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in rectangles]
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.array(list(scores), np.float32))
