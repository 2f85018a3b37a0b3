"""Structure of image files, checked before they are decoded.

Pillow reads the parts of a file one by one in Python. A file of 20 MB can hold millions of them, which would keep the
interpreter, and so every other request, busy for minutes. Real files have some hundreds. The checks count the parts
and stop at a bound. They do not check that a file is intact: a file that ends early, or is broken, passes and is left
to the decoder, which names the damage.
"""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

MAX_PARTS = 20_000
"""Maximum number of segments, chunks or blocks in a file. A PNG of 20 MB has 2,500 if libpng wrote it."""

MAX_SCANS = 100
"""Maximum number of scans in a progressive JPEG. Usual are 10."""

MAX_SCANNED_PX = 1_000_000_000
"""Maximum number of scans times pixels of a JPEG of more than `USUAL_SCANS`: each scan goes through all pixels."""

USUAL_SCANS = 20

MAX_STRIPS = 65_536
"""Maximum number of strips or tiles in a TIFF."""

MAX_TIFF_ENTRIES = 4_096
"""Maximum number of tags in a TIFF; usual are 20."""

# A marker of a JPEG: neither an escaped byte of pixels, nor a restart, nor padding.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_END, _SCAN, _NO_LENGTH = 0xD9, 0xDA, (0x01, 0xD8)
_MAX_PADDING = 4_096

_RUN_LENGTH = (1, 2)
_ENTRY_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
_TILE_WIDTH, _TILE_HEIGHT, _STRIP_OFFSETS, _TILE_OFFSETS = 322, 323, 273, 324


class StructureError(ValueError):
    """A file that would take too much work to decode."""


class Structure(NamedTuple):
    """Properties of a file that decide how much work decoding is, besides the number of pixels."""

    n_scans: int = 1
    # Number of pixels of a tile of a TIFF, which may be larger than the picture.
    tile_px: int = 0

    def check_work(self, n_px: int) -> None:
        """Raise `StructureError` if decoding so many pixels would take too much work."""
        if self.n_scans > USUAL_SCANS and self.n_scans * n_px > MAX_SCANNED_PX:
            raise StructureError(f"it has {self.n_scans} scans of {n_px:,} pixels")


def check_structure(file_format: str, data: bytes) -> Structure:
    """Return the structure of a file; raise `StructureError` if it would take too much work to decode."""
    check = _CHECKS.get(file_format)
    return Structure() if check is None else check(data)


def _check_jpeg(data: bytes) -> Structure:
    position, n_scans = 2, 0
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _END:
            return Structure(n_scans=n_scans)
        if n_scans == 0 and found.start() - position > _MAX_PADDING:
            raise StructureError("it has more than 4,096 bytes of padding before the picture")
        n_scans += found[1][0] == _SCAN
        if n_scans > MAX_SCANS:
            raise StructureError(f"it has more than {MAX_SCANS} scans")
        position = found.end()
        if found[1][0] not in _NO_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    raise _too_many("segments")


def _check_png(data: bytes) -> Structure:
    position = 8
    for _ in range(MAX_PARTS):
        if position + 8 > len(data) or data[position + 4 : position + 8] == b"IEND":
            return Structure()
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise _too_many("chunks")


def _check_gif(data: bytes) -> Structure:
    """Count the blocks before the first picture; later ones are not read."""
    flags = data[10] if len(data) > 10 else 0
    position = 13 + (3 << (flags % 8 + 1) if flags & 0x80 else 0)
    in_extension = False
    for _ in range(MAX_PARTS):
        if position >= len(data):
            return Structure()
        value = data[position]
        if in_extension:
            position += 1 + value
            in_extension = value != 0
        elif value in b",;":
            return Structure()
        else:
            in_extension = value == ord("!")
            position += 2 if in_extension else 1
    raise _too_many("blocks")


def _check_bmp(data: bytes) -> Structure:
    header = struct.unpack_from("<I12xI", data, 14) if len(data) >= 34 else (0, 0)
    if header[0] > 12 and header[1] in _RUN_LENGTH:
        raise StructureError("it is compressed by run lengths, which is slow to decode")
    return Structure()


def _check_tiff(data: bytes) -> Structure:
    """Check the first directory."""
    order = "<" if data[:1] == b"I" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    at, count, entry = (8, "Q", "HHQ8s") if is_big else (4, "H", "HHI4s")
    try:
        (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, at)
        (n_entries,) = struct.unpack_from(order + count, data, start)
        if n_entries > MAX_TIFF_ENTRIES:
            raise _too_many("tags", MAX_TIFF_ENTRIES)
        first = start + struct.calcsize(order + count)
        size = struct.calcsize(order + entry)
        entries = struct.iter_unpack(order + entry, data[first : first + n_entries * size])
        tags = {tag: (kind, n_values, value) for tag, kind, n_values, value in entries}
    except (struct.error, OverflowError):  # The file ends early.
        return Structure()
    for tag in (_STRIP_OFFSETS, _TILE_OFFSETS):
        if tag in tags and tags[tag][1] > MAX_STRIPS:
            raise _too_many("strips or tiles", MAX_STRIPS)
    sides = []
    for kind, _, value in (tags[tag] for tag in (_TILE_WIDTH, _TILE_HEIGHT) if tag in tags):
        sides.append(int.from_bytes(value[: _ENTRY_SIZES.get(kind, 4)], "little" if order == "<" else "big"))
    return Structure(tile_px=sides[0] * sides[1] if len(sides) == 2 else 0)


def _too_many(parts: str, limit: int = MAX_PARTS) -> StructureError:
    return StructureError(f"it has more than {limit:,} {parts}")


_CHECKS: dict[str, Callable[[bytes], Structure]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "BMP": _check_bmp,
    "TIFF": _check_tiff,
}
