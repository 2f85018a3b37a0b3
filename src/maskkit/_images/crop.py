"""From boxes to square face crops."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit._images.load import RgbImage

# Side of the crop as a multiple of the box's longer side: a little of what surrounds the face, as
# the crops of face data sets have it.
MARGIN = 1.15


def crop_square(image: RgbImage, box_xyxy: ArrayLike, *, margin: float = MARGIN) -> RgbImage:
    """Cut a square around a face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    box_xyxy : array-like of shape (4,)
        Left, top, right, bottom, in pixels; right and bottom exclusive. May reach over the edge.
    margin : float, default=1.15
        Side of the square as a multiple of the box's longer side.

    Returns
    -------
    crop : ndarray of shape (side, side, 3), uint8
        At least 1 px; outside the image its edge is repeated, so that faces keep their proportions.
    """
    left, top, right, bottom = np.asarray(box_xyxy, dtype=np.float64)
    side = max(1, round(margin * max(right - left, bottom - top)))
    rows = _span((top + bottom) / 2, side, image.shape[0])
    columns = _span((left + right) / 2, side, image.shape[1])
    return np.ascontiguousarray(image[rows[:, None], columns[None, :]])


def _span(centre: float, side: int, n_pixels: int) -> NDArray[np.int64]:
    start = round(centre - side / 2)
    return np.clip(np.arange(start, start + side), 0, n_pixels - 1)
