"""EXIF orientation of image files, and boxes that were drawn on their stored pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Size = tuple[int, int]
"""Width and height in pixels."""

# Corners of the stored pixels, as fractions of width and height, that become the top left and the bottom right corner
# of the upright image, and whether x and y are exchanged. Source: EXIF 2.3, tag 0x0112.
_TURNS = {
    1: ((0, 0), False),
    2: ((1, 0), False),
    3: ((1, 1), False),
    4: ((0, 1), False),
    5: ((0, 0), True),
    6: ((0, 1), True),
    7: ((1, 1), True),
    8: ((1, 0), True),
}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height of the stored pixels of an image file, and its EXIF orientation, 1 to 8."""

    stored_size: Size
    orientation: int = 1

    @property
    def upright_size(self) -> Size:
        """Width and height of the image as `load_image` returns it."""
        return self.stored_size[::-1] if _TURNS[self.orientation][1] else self.stored_size

    def turn_boxes(self, boxes_xyxy: NDArray[Any]) -> NDArray[Any]:
        """Return the boxes (n, 4) on the upright image, given those on the stored pixels."""
        corner, is_exchanged = _TURNS[self.orientation]
        points = boxes_xyxy.reshape(-1, 2, 2)
        # A mirrored axis counts from the other edge: x becomes width - x.
        turned = np.where(corner, np.array(self.stored_size, dtype=points.dtype) - points, points)
        turned = turned[..., ::-1] if is_exchanged else turned
        return np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)


def read_orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 to 8; 1 if it has none or the tag cannot be read."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF reader raises nearly any type; the pixels do not depend on EXIF
        return 1
    return value if value in _TURNS else 1


def read_picture_header(picture: Image.Image) -> ImageHeader:
    """Return the header of an open picture whose pixels may not have been read yet."""
    # Pillow's reader of TIFF files gives the upright size, the others that of the stored pixels.
    tags = getattr(picture, "tag_v2", None)
    size = picture.size if tags is None else (int(tags[256]), int(tags[257]))
    return ImageHeader(size, read_orientation(picture))
