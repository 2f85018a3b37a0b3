"""TIFF files: their pages, their orientation, and values that are not unsigned 8-bit ones.

Pillow refuses most of the latter, and reads some wrongly without an error: planes of 16 bits as if they had 8, signed
values as unsigned ones. Here it only decompresses them: it is given the file with another directory, in which each byte
is a gray pixel. The values are then scaled by the tags of the file.
"""

import io
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from maskkit._images.orientation import find_orientation, find_xmp_orientation
from maskkit._images.tones import ValueRange, find_limits, scale_to_8_bits

NEW_SUBFILE_TYPE, XMP = 254, 700
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, MIN_VALUE, MAX_VALUE, PLANES = 273, 277, 278, 279, 280, 281, 284
PREDICTOR, COLOR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, S_MIN_VALUE, S_MAX_VALUE = 338, 339, 340, 341

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_N_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}
_PREMULTIPLIED, _TRANSPARENCY = 1, 2

# Compressions of any bytes: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard. Others, such as JPEG, compress
# pixels.
_OF_BYTES = {1, 5, 8, 32946, 32773, 34925, 50000}
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_MAX_SAMPLES = 8
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MAX_PAGES = 100
_REDUCED_OR_MASK = 0b101
# Tags of orientation, XMP, EXIF and GPS.
_METADATA = {274, XMP, 34665, 34853}
_WHOLE_BITS = (8, 16, 32, 64)
_UNPACK_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class Tiff:
    """The first picture of a TIFF file, whose bytes are `data`; `tags` are those of the first of its directories."""

    data: bytes
    tags: dict[int, Any]
    byte_order: str
    n_pages: int

    @property
    def orientation(self) -> int:
        """Orientation of the picture, 1 to 8."""
        return find_orientation(io.BytesIO(self.data)) or find_xmp_orientation(self.tags.get(XMP)) or 1

    @property
    def palette(self) -> bytes | None:
        """The colors of a palette that has 8 bits instead of 16, as some writers have it; Pillow reads it as black."""
        colors = _numbers(self.tags.get(COLOR_MAP, ()))
        return bytes(colors) if 0 < max(colors) < 256 else None

    def without_metadata(self) -> BinaryIO:
        """Return the file without the tags by which Pillow would turn it, or refuse it because they are damaged."""
        return io.BytesIO(_without_tags(self.data, lambda tag, n_bytes, offset: tag in _METADATA))

    @property
    def is_deep(self) -> bool:
        """Whether the picture is decoded here rather than by Pillow."""
        tags = self.tags
        has_size = all(isinstance(tags.get(tag), int) and tags[tag] > 0 for tag in (WIDTH, HEIGHT))
        bits = set(_numbers(tags.get(BITS, 1)))
        if not has_size or len(bits) > 1 or max(bits) > 64 or int(tags.get(SAMPLES, 1)) > _MAX_SAMPLES:
            return False
        if tags.get(COMPRESSION, 1) not in _OF_BYTES or tags.get(PREDICTOR, 1) not in (1, 2):
            return False
        if int(tags.get(SAMPLES, 1)) < _N_COLORS.get(_photometric(tags), math.inf):
            return False
        return max(bits) > 8 or (max(bits) == 8 and _kind(tags) == "i")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as stored."""
        return int(self.tags[WIDTH]), int(self.tags[HEIGHT])

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the decompressed values."""
        bits_per_pixel = _numbers(self.tags.get(BITS, 1))[0] * self.tags.get(SAMPLES, 1)
        return math.prod(self.size) * int(bits_per_pixel) // 8

    def decode(self, notes: list[str]) -> Image.Image:
        """Return the picture in 8 bits per channel, as stored; transparent pixels lie on white."""
        values = self._read_values()
        stored = value_range(self.tags)
        n_colors = _N_COLORS[_photometric(self.tags)]
        limits = find_limits(values[:, :, :n_colors], stored, notes)
        colors = scale_to_8_bits(values[:, :, :n_colors], limits, white_is_zero=stored.white_is_zero)
        if n_colors == 4:
            return Image.fromarray(colors, "CMYK")
        kinds_of_extra = _numbers(self.tags.get(EXTRA_SAMPLES, ()))
        for kind, index in zip(kinds_of_extra, range(n_colors, values.shape[2]), strict=False):
            if kind in (_PREMULTIPLIED, _TRANSPARENCY):
                opaque = 1.0 if stored.kind == "f" else 2.0 ** (stored.bits - (stored.kind == "i")) - 1
                alpha = scale_to_8_bits(values[:, :, index : index + 1], (0, opaque))
                colors = _lay_on_white(colors, alpha, is_premultiplied=kind == _PREMULTIPLIED)
                break
        return Image.fromarray(colors if colors.shape[2] == 3 else colors[:, :, 0])

    def _read_values(self) -> NDArray[Any]:
        """Return the values (height, width, samples)."""
        n_samples = int(self.tags.get(SAMPLES, 1))
        if self.tags.get(PLANES, 1) != 2 or n_samples == 1:
            return self._read_plane(0, 1, n_samples)
        planes = [self._read_plane(index, n_samples, 1) for index in range(n_samples)]
        return np.concatenate(planes, axis=2)

    def _read_plane(self, plane: int, n_planes: int, n_samples: int) -> NDArray[Any]:
        rows = self._decompress(plane, n_planes, n_samples)
        width, height = self.size
        bits, kind = _numbers(self.tags.get(BITS, 1))[0], _kind(self.tags)
        tile = int(self.tags.get(TILE_WIDTH, width))
        if bits in _WHOLE_BITS:
            values = rows.view(f"{self.byte_order}{kind}{bits // 8}").reshape(height, -1, n_samples)
        else:
            values = _unpack_bits(rows, bits).reshape(height, -1, n_samples)
        if self.tags.get(PREDICTOR, 1) == 2:  # Each value is stored as the difference to the one on its left.
            values = values.astype(values.dtype.newbyteorder("="))
            for left in range(0, values.shape[1], tile):
                part = values[:, left : left + tile]
                np.cumsum(part, axis=1, dtype=values.dtype, out=part)
        return values[:, :width]

    def _decompress(self, plane: int, n_planes: int, n_samples: int) -> NDArray[np.uint8]:
        """Return the decompressed bytes of a plane, rows first; a row may end with bytes that are not used."""
        bits = _numbers(self.tags.get(BITS, 1))[0] * n_samples
        width, height = self.size
        is_tiled = TILE_OFFSETS in self.tags
        entries: list[tuple[int, Sequence[int]]] = [
            (HEIGHT, [height]),
            (BITS, [8]),
            (COMPRESSION, [int(self.tags.get(COMPRESSION, 1))]),
            (PHOTOMETRIC, [_BLACK_IS_ZERO]),
            (FILL_ORDER, [int(self.tags.get(FILL_ORDER, 1))]),
            (SAMPLES, [1]),
        ]
        if is_tiled:
            tile_bytes = int(self.tags[TILE_WIDTH]) * bits // 8
            entries += [(WIDTH, [math.ceil(width / int(self.tags[TILE_WIDTH])) * tile_bytes])]
            entries += [(TILE_WIDTH, [tile_bytes]), (TILE_HEIGHT, [int(self.tags[TILE_HEIGHT])])]
            places = (TILE_OFFSETS, TILE_BYTES)
        else:
            entries += [(WIDTH, [math.ceil(width * bits / 8)])]
            entries += [(ROWS_PER_STRIP, [min(height, int(self.tags.get(ROWS_PER_STRIP, height)))])]
            places = (STRIP_OFFSETS, STRIP_BYTES)
        for tag in places:
            if tag in self.tags:
                numbers = _numbers(self.tags[tag])
                n_each = len(numbers) // n_planes
                entries.append((tag, numbers[plane * n_each : (plane + 1) * n_each]))
        with TiffImagePlugin.TiffImageFile(io.BytesIO(_with_directory(self.data, entries))) as picture:
            return np.asarray(picture)


def _without_tags(data: bytes, is_dropped: Callable[[int, int, int], bool]) -> bytes:
    """Return a TIFF file without some tags of its first directory, given the tag, and the size and place of its value.

    Files of more than 4 GB have another directory, and stay as they are.
    """
    order = "<" if data.startswith(b"II") else ">"
    changed = bytearray(data)
    if struct.unpack_from(f"{order}H", data, 2) == (42,):
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (n_tags,) = struct.unpack_from(f"{order}H", data, start)
        for position in range(start + 2, min(start + 2 + 12 * n_tags, len(data) - 11), 12):
            tag, kind, count, offset = struct.unpack_from(f"{order}HHII", data, position)
            if is_dropped(tag, count * _TYPE_BYTES.get(kind, 0), offset):
                struct.pack_into(f"{order}H", changed, position + 2, 0)  # Readers skip a tag of an unknown type.
    return bytes(changed)


def open_tiff(file: BinaryIO) -> Tiff:
    """Read the first directory of a TIFF file, and count its pages."""
    file.seek(0)
    data = file.read()
    # Pillow would read no tag behind one whose value lies outside of the file.
    data = _without_tags(data, lambda tag, n_bytes, offset: n_bytes > 4 and offset + n_bytes > len(data))
    is_big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if is_big else 8])
    directory.next, offset = 0, directory.next
    with io.BytesIO(data) as stream:
        stream.seek(offset)
        directory.load(stream)
        tags = dict(directory)
        n_pages = 1 + sum(1 for _ in _further_pages(directory, stream, {offset}))
    return Tiff(data, tags, "<" if directory.prefix == b"II" else ">", n_pages)


def _further_pages(directory: Any, stream: BinaryIO, seen: set[int]) -> Iterator[None]:
    """Iterate over the pages behind a directory, up to a limit; thumbnails and masks are none."""
    while 0 < directory.next < 2**63 and directory.next not in seen and len(seen) < _MAX_PAGES:
        seen.add(directory.next)
        stream.seek(directory.next)
        directory.next = 0
        try:
            directory.load(stream)
            kind = directory.get(NEW_SUBFILE_TYPE, 0)
        except (struct.error, OSError, ValueError, SyntaxError):  # A damaged page does not matter to the first one.
            return
        if isinstance(kind, int) and not kind & _REDUCED_OR_MASK and WIDTH in directory:
            yield


def _photometric(tags: dict[int, Any]) -> int:
    """Return what the values mean; the tag is required, but some writers leave it out."""
    return int(tags.get(PHOTOMETRIC, _BLACK_IS_ZERO if tags.get(SAMPLES, 1) < 3 else _RGB))


def _kind(tags: dict[int, Any]) -> str:
    return _KINDS.get(_numbers(tags.get(SAMPLE_FORMAT, 1))[0], "u")


def value_range(tags: dict[int, Any]) -> ValueRange:
    """Return how the values of a TIFF file are stored."""

    def limit(*names: int) -> float | None:
        given = [number for name in names if name in tags for number in _numbers(tags[name])]
        return float(given[0]) if given else None

    return ValueRange(
        _numbers(tags.get(BITS, 1))[0],
        _kind(tags),
        limit(S_MIN_VALUE, MIN_VALUE),
        limit(S_MAX_VALUE, MAX_VALUE),
        _photometric(tags) == _WHITE_IS_ZERO,
    )


def _numbers(value: Any) -> Any:
    return value if isinstance(value, tuple) and value else (value,) if not isinstance(value, tuple) else (0,)


def _unpack_bits(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """Return packed integers of `bits` bits, the highest bit first; each row begins at a whole byte."""
    n_values = rows.shape[1] * 8 // bits
    values = np.empty((len(rows), n_values), dtype=np.uint16 if bits <= 16 else np.uint32)
    n_rows = max(1, _UNPACK_PIXELS // max(1, n_values))
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(values.dtype)
    for start in range(0, len(rows), n_rows):
        unpacked = np.unpackbits(rows[start : start + n_rows], axis=1, count=n_values * bits)
        values[start : start + n_rows] = unpacked.reshape(-1, n_values, bits) @ weights
    return values


def _with_directory(data: bytes, entries: list[tuple[int, Sequence[int]]]) -> bytes:
    """Return a TIFF file of the same bytes with another directory; all values are 32-bit integers."""
    order = "<" if data.startswith(b"II") else ">"
    start = len(data) + len(data) % 2
    long_values = b""
    directory = struct.pack(f"{order}H", len(entries))
    end = start + 2 + 12 * len(entries) + 4
    for tag, numbers in sorted(entries):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            packed, long_values = struct.pack(f"{order}I", end + len(long_values)), long_values + packed
        directory += struct.pack(f"{order}HHI4s", tag, 4, len(numbers), packed)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    header = magic + struct.pack(f"{order}I", start)
    return b"".join([header, data[8:], bytes(len(data) % 2), directory, bytes(4), long_values])


def _lay_on_white(colors: NDArray[np.uint8], alpha: NDArray[np.uint8], *, is_premultiplied: bool) -> NDArray[np.uint8]:
    opacity = alpha.astype(np.float32) / 255
    visible = colors if is_premultiplied else colors * opacity
    laid = np.clip(np.rint(visible + 255 * (1 - opacity)), 0, 255).astype(np.uint8)
    return np.repeat(laid, 3, axis=2) if laid.shape[2] == 1 else laid
