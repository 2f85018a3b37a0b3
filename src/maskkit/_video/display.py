"""Display properties of a video: pixels that are not square, rotation and mirroring."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import RgbImage

# Width of a pixel relative to its height. Cameras and discs use 0.5 to 2; a file that states more is wrong, and its
# frames could be enlarged to any size. Ours.
_ASPECT_RANGE = (0.25, 4.0)


def pixel_aspect(stream: Any) -> float:
    """Return the width of a pixel relative to its height, as a stream states it; 1 if it states nothing usable."""
    ratio = stream.sample_aspect_ratio
    aspect = float(ratio) if ratio else 1.0
    return aspect if _ASPECT_RANGE[0] <= aspect <= _ASPECT_RANGE[1] else 1.0


def to_displayed_rgb(picture: Any, aspect: float) -> RgbImage:
    """Return a decoded frame as players show it, (H, W, 3) uint8.

    Pixels that are not square are made so by enlarging the side that has too few. Then the frame is rotated and
    mirrored by the nearest multiple of 90 degrees of its display matrix.
    """
    width, height = picture.width, picture.height
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    image = picture.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(_orient(image, _display_matrix(picture)))


def _display_matrix(picture: Any) -> NDArray[np.int64]:
    """Return the linear part ((a, b), (c, d)) of the display matrix of a frame: (x, y) moves to (ax + cy, bx + dy)."""
    for data in picture.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32, count=9).reshape(3, 3)[:2, :2].astype(np.int64)
    return np.eye(2, dtype=np.int64)


def _orient(image: RgbImage, matrix: NDArray[np.int64]) -> RgbImage:
    (a, b), (c, d) = matrix.tolist()
    if math.hypot(b, c) > math.hypot(a, d):  # x and y are exchanged
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
