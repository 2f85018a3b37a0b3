"""Overlap of boxes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def share_of_smaller(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return the intersections (n, m) of boxes (n, 4) and others (m, 4), as shares of the smaller box of each pair."""
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    areas = [(some[..., 2:] - some[..., :2]).prod(axis=-1) for some in (boxes, others)]
    return sides.clip(0).prod(axis=-1) / np.maximum(np.minimum(*areas), 1e-6)
