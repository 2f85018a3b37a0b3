"""Conversion of pictures of every mode to RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._images.tiff import value_range
from maskkit._images.tones import ValueRange, find_limits, scale_to_8_bits

_BITS = {"I": 32, "F": 32}


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
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _deep_gray_to_rgb(picture: Image.Image, notes: list[str]) -> NDArray[np.uint8]:
    values = np.asarray(picture)
    tags: Any = getattr(picture, "tag_v2", None)
    kind = "f" if picture.mode == "F" else "u" if values.min() >= 0 else "i"
    stored = value_range(dict(tags)) if tags else ValueRange(_BITS.get(picture.mode, 16), kind)
    gray = scale_to_8_bits(values, find_limits(values, stored, notes), white_is_zero=stored.white_is_zero)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        gray[values == transparent] = 255
    return np.repeat(gray[:, :, None], 3, axis=2)
