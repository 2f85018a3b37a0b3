"""Conversion of pictures of every mode to RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._images.tiff import value_range
from maskkit._images.tones import ValueRange, find_limits, scale_to_8_bits

_BLOCK_PIXELS = 1_000_000


def to_rgb(picture: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3); transparent ones lie on white. Add to `notes` what is not certain.

    Raises ValueError if the range of the values is not known.
    """
    if picture.mode.startswith(("I", "F")):
        return _deep_gray_to_rgb(picture, notes)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    # In blocks of rows, because Pillow copies the pixels several times on their way into an array.
    pixels = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
    n_rows = max(1, _BLOCK_PIXELS // picture.width)
    for top in range(0, picture.height, n_rows):
        block = picture.crop((0, top, picture.width, min(top + n_rows, picture.height)))
        pixels[top : top + n_rows] = np.asarray(block if block.mode == "RGB" else block.convert("RGB"))
    return pixels


def _deep_gray_to_rgb(picture: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    values = np.asarray(picture)
    tags: Any = getattr(picture, "tag_v2", None)
    kind = "f" if picture.mode == "F" else "u" if values.min() >= 0 else "i"
    # Pillow scales the values of a PPM file of more than 8 bits to 16 bits, and keeps them in 32.
    bits = 32 if picture.mode in ("I", "F") and picture.format != "PPM" else 16
    stored = value_range(dict(tags)) if tags else ValueRange(bits, kind)
    gray = scale_to_8_bits(values, find_limits(values, stored, notes), white_is_zero=stored.white_is_zero)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        gray[values == transparent] = 255
    return np.repeat(gray[:, :, None], 3, axis=2)
