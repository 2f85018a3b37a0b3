"""Faces made worse in one way at a time, by degrees."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from maskkit._images.load import RgbImage, compress_jpeg

Worsen = Callable[[Image.Image, float], Image.Image]


@dataclass(frozen=True)
class Condition:
    """A way to make faces worse.

    Attributes
    ----------
    name : str
    unit : str
        What the levels are.
    levels : tuple of float
        From mild to severe.
    worsen : callable
        Takes a picture and a level.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    worsen: Worsen

    def apply(self, image: RgbImage, level: float) -> RgbImage:
        """Give a worse copy of an image."""
        return np.asarray(self.worsen(Image.fromarray(image), level))


# Blur is given for faces of this size, so that it hides as much of a large face as of a small one.
BLUR_REFERENCE_PX = 128


def _shrink(picture: Image.Image, side_px: float) -> Image.Image:
    """Shrink the longer side to this many pixels; a face that is smaller stays as it is."""
    share = side_px / max(picture.size)
    if share >= 1:
        return picture
    width, height = (max(1, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _blur(picture: Image.Image, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma * max(picture.size) / BLUR_REFERENCE_PX))


def _compress(picture: Image.Image, quality: float) -> Image.Image:
    return compress_jpeg(picture, int(quality))


def _darken(picture: Image.Image, stops: float) -> Image.Image:
    """Halve the light this many times, as sRGB encodes it (IEC 61966-2-1), back to 8 bits."""
    encoded = np.arange(256) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) / 2**stops
    darker = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return picture.point((255 * darker).round().astype(int).tolist() * 3)


CONDITIONS = (
    Condition("size", "longer side, px, at most", (128, 96, 64, 48, 32, 24, 16, 12, 8), _shrink),
    Condition("blur", f"Gaussian sigma, px of {BLUR_REFERENCE_PX}", (0.5, 1, 2, 3, 4, 6, 8), _blur),
    Condition("jpeg", "JPEG quality", (90, 70, 50, 30, 20, 10, 5), _compress),
    Condition("darkness", "stops: light halved", (1, 2, 3, 4, 5, 6), _darken),
)
