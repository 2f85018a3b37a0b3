"""Square face crops."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit._images.load import RgbImage

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom exclusive."""

# Side of the crop as a multiple of the box's longer side. The crops of face data sets show as much around the face.
MARGIN = 1.15


def crop_square(image: RgbImage, box_xyxy: ArrayLike, *, margin: float = MARGIN) -> RgbImage:
    """Cut a square around a face; its side is `margin` times the box's longer side, at least 1 px.

    The box is left, top, right, bottom in pixels and may reach over the edge of the image. There, the edge is repeated,
    so that faces keep their proportions.
    """
    left, top, right, bottom = np.asarray(box_xyxy, dtype=np.float64)
    side = max(1, round(margin * max(right - left, bottom - top)))
    rows = _clipped_range((top + bottom) / 2, side, image.shape[0])
    columns = _clipped_range((left + right) / 2, side, image.shape[1])
    return np.ascontiguousarray(image[rows[:, None], columns[None, :]])


def _clipped_range(center: float, side: int, n_pixels: int) -> NDArray[np.int64]:
    """Return the `side` indices around a center; those outside are replaced by the edge's."""
    start = round(center - side / 2)
    return np.clip(np.arange(start, start + side), 0, n_pixels - 1)
