"""What an image is like apart from what it shows: size, sharpness, light, kind of file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._images.hashing import hash_content
from maskkit._images.load import load_image, name_source
from maskkit._images.quality import measure_brightness_and_sharpness
from maskkit.exceptions import ImageError

PROPERTIES = ("width", "height", "aspect", "sharpness", "brightness", "file type")


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What the audit keeps of one image.

    Parameters
    ----------
    digest : str
        Equal for equal pixels.
    hash, mirrored : int
        64 bits of the perceptual hash, of the image and its mirror image.
    values : tuple of float
        In the order of `PROPERTIES`, without the file type.
    ending : str
    """

    digest: str
    hash: int
    mirrored: int
    values: tuple[float, ...]
    ending: str


def read_traits(item: tuple[int, Any]) -> Traits | str:
    """Measure one image; gives the reason if it cannot be read."""
    index, source = item
    from imagehash import phash

    try:
        image = load_image(source, name=name_source(source, index))
    except ImageError as exc:
        return str(exc)
    picture = Image.fromarray(image)
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    height, width = image.shape[:2]
    brightness, sharpness = measure_brightness_and_sharpness(image)
    values = (float(width), float(height), width / height, sharpness, brightness)
    ending = Path(source).suffix.lower() if isinstance(source, (str, Path)) else ""
    return Traits(hash_content(image), _to_int(phash(picture).hash), _to_int(phash(mirrored).hash), values, ending)


def _to_int(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
