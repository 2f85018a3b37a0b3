"""Orientation of image files in EXIF or XMP data, and boxes that were drawn on their stored pixels."""

import io
import re
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels."""

# Corners of the stored pixels, as fractions of width and height, that become the top left and the bottom right corner
# of the upright image, and whether x and y are exchanged. Source: EXIF 2.3, tag 0x0112.
_CORNERS = {
    1: ((0, 0), False),
    2: ((1, 0), False),
    3: ((1, 1), False),
    4: ((0, 1), False),
    5: ((0, 0), True),
    6: ((0, 1), True),
    7: ((1, 1), True),
    8: ((1, 0), True),
}

_ORIENTATION = 0x0112

# Turns that put a picture upright, by its orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Formats of the types of TIFF that hold one number, and the size of each. Orientation is a SHORT (3), but writers use
# others too.
_NUMBER_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height of the stored pixels of an image file, and its EXIF orientation, 1 to 8."""

    stored_size: Size
    orientation: int = 1

    @property
    def upright_size(self) -> Size:
        """Width and height of the image as `load_image` returns it."""
        return self.stored_size[::-1] if _CORNERS[self.orientation][1] else self.stored_size

    def turn_boxes(self, boxes_xyxy: NDArray[Any]) -> NDArray[Any]:
        """Return the boxes (n, 4) on the upright image, given those on the stored pixels."""
        corner, is_exchanged = _CORNERS[self.orientation]
        points = boxes_xyxy.reshape(-1, 2, 2)
        # A mirrored axis counts from the other edge: x becomes width - x.
        turned = np.where(corner, np.array(self.stored_size, dtype=points.dtype) - points, points)
        turned = turned[..., ::-1] if is_exchanged else turned
        return np.concatenate([turned.min(axis=1), turned.max(axis=1)], axis=1)


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture turned upright; the picture itself if it is upright."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def read_orientation(picture: Image.Image) -> int:
    """Return the orientation, 1 to 8; 1 if none is given.

    Pillow's reader is not used: it stops at the first tag that is damaged, and it writes all tags anew to turn a
    picture. Here only the one tag counts, whatever the others hold.
    """
    for data in _exif_blocks(picture.info):
        value = find_orientation(io.BytesIO(data))
        if value is not None:
            return value
    for key in ("xmp", "XML:com.adobe.xmp"):
        value = find_xmp_orientation(picture.info.get(key))
        if value is not None:
            return value
    if "exif" not in picture.info and not hasattr(picture, "fp"):
        # A picture that was made in memory may hold EXIF data that are not in `info` yet.
        value = picture.getexif().get(_ORIENTATION)
        return value if value in _TURNS else 1
    return 1


def _exif_blocks(info: dict[Any, Any]) -> list[bytes]:
    blocks = [info["exif"]] if isinstance(info.get("exif"), bytes) else []
    # ImageMagick writes EXIF into PNG as text of hexadecimal digits, below two lines of other text.
    for key in ("Raw profile type exif", "Raw profile type APP1"):
        text = str(info.get(key, ""))
        digits = "".join(re.findall(r"(?:[0-9a-fA-F]{2})+", "".join(text.split("\n")[3:])))
        if digits:
            blocks.append(bytes.fromhex(digits))
    return blocks


def find_orientation(exif: BinaryIO) -> int | None:
    """Return the orientation in EXIF data or a TIFF file, or None; damaged tags beside it do not matter."""
    start = re.search(rb"II\*\0|MM\0\*", exif.read(64))
    if start is None:
        return None
    order = "<" if start[0].startswith(b"II") else ">"

    def read(form: str, offset: int) -> tuple[Any, ...]:
        exif.seek(start.start() + offset)
        return struct.unpack(order + form, exif.read(struct.calcsize(order + form)))

    try:
        (offset,) = read("I", 4)
        for index in range(*read("H", offset)):
            tag, kind, _, value = read("HHI4s", offset + 2 + 12 * index)
            if tag == _ORIENTATION:
                return _read_value(value, order, kind)
    except struct.error:  # The data end here.
        return None
    return None


def _read_value(data: bytes, order: str, kind: int) -> int | None:
    if kind == 2:  # text
        value = int(data[:1]) if data[:1].isdigit() else 0
    elif kind in _NUMBER_FORMATS:
        form = order + _NUMBER_FORMATS[kind]
        (value,) = struct.unpack_from(form, data)
    else:
        return None
    return value if 1 <= value <= 8 else None


def find_xmp_orientation(xmp: Any) -> int | None:
    """Return the orientation in XMP data, or None."""
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp or "")
    found = re.search(r"""tiff:Orientation(?:\s*=\s*["']|\s*>\s*)([1-8])(?![0-9])""", text)
    return int(found[1]) if found else None
