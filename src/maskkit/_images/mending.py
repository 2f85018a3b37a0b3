"""Files whose pixels are whole, but which Pillow refuses: for want of an end mark, or for their metadata."""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}

_JPEG = b"\xff\xd8"
_END_OF_JPEG = b"\xff\xd9"
# Bytes that are no marker, and more of them than any block takes.
_PADDING = bytes(range(1, 255)) * 40
_FEW_ZEROS = 8
# A marker that ends the compressed data of a scan: neither a stuffed zero, nor a restart, nor a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


# The first bytes of EXIF data, with the number of tags.
_EXIF_START = re.compile(rb"(?:II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08)..", re.DOTALL)


def mend(data: bytes) -> bytes | None:
    """Return a file that Pillow reads, with the same pixels, or None if pixels are missing or nothing can be done.

    Raises ValueError if it is a WebP file that was cut off.
    """
    if data.startswith(_PNG):
        mended = b"".join(_kept_chunks(data))
        return None if mended == data else mended
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _add_padding(data)
    if data[4:8] == b"ftyp" and _EXIF_START.search(data):
        # Pillow writes EXIF data anew if the file turns the picture by other means. These are kept.
        return _EXIF_START.sub(lambda found: found[0][:8] + b"\0\0", data)
    if data.startswith(_JPEG):
        scans = _Scans(data)
        return scans.padded(b"") if not scans.has_end and scans.are_complete() else None
    return None


def lacks_pixels(data: bytes, corner: Sequence[float]) -> bool:
    """Return whether a JPEG that Pillow has read lacks pixels, given its last pixel.

    The decoder fills what is missing with medium gray, and takes zeros that fill up a file for pixels. To look into
    the data takes long, so that it is done only where there is a sign of that.
    """
    if all(value in (127, 128) for value in corner):
        return not _Scans(data).are_complete()
    has_zeros = data.endswith(bytes(_FEW_ZEROS + 1)) and not data.rstrip(b"\0").endswith(_END_OF_JPEG)
    return has_zeros and not (scans := _Scans(data)).has_end and not scans.are_complete()


def lacks_detail(data: bytes) -> bool:
    """Return whether a progressive JPEG lacks its last scans, so that it is less sharp."""
    scans = _Scans(data)
    return scans.is_progressive and not scans.have_all_bits()


def _add_padding(data: bytes) -> bytes | None:
    """Return a WebP file with the byte that makes its length even, which some writers leave out."""
    n_bytes = int.from_bytes(data[4:8], "little") + 8
    if len(data) % 2 == 1 and len(data) + 1 == n_bytes and _last_chunk_is_whole(data):
        return data + b"\0"
    if len(data) < n_bytes:  # Pillow would only say that there is no decoder.
        raise ValueError(f"image file is truncated: it has {len(data):,} of {n_bytes:,} bytes")
    return None


def _last_chunk_is_whole(data: bytes) -> bool:
    position = 12
    while position < len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length
        if position == len(data):
            return True
        position += length % 2
    return False


def _kept_chunks(data: bytes) -> Iterator[bytes]:
    """Iterate over the chunks of a PNG file without texts and profiles that are damaged or larger than Pillow reads."""
    yield _PNG
    position = len(_PNG)
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4].rjust(4, b"\0"))
        chunk = data[position : position + 12 + length]
        is_whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if chunk[4:8] not in _PNG_TEXT or (is_whole and _is_small(chunk[4:8], chunk[8:-4])):
            yield chunk
        position += 12 + length


def _is_small(kind: bytes, text: bytes) -> bool:
    """Return whether a text is within Pillow's limit, also when it is decompressed."""
    limit: int = PngImagePlugin.MAX_TEXT_CHUNK
    rest = text.partition(b"\0")[2]
    if kind == b"iTXt" and rest[:1] == b"\1":
        compressed = rest[2:].split(b"\0", 2)[-1]
    elif kind in (b"zTXt", b"iCCP"):
        compressed = rest[1:]
        if rest[:1] != b"\0":  # a compression that does not exist
            return False
    else:
        return len(text) <= limit
    decompressor = zlib.decompressobj()
    try:
        decompressor.decompress(compressed, limit)
    except zlib.error:
        return True  # Pillow skips it.
    return not decompressor.unconsumed_tail


class _Scans:
    """The compressed data of a JPEG file: where they end, and whether they hold every coefficient."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.has_end = False
        self.is_progressive = False
        self.components: set[int] = set()
        # Lowest bit that was sent, by component and coefficient.
        self.sent: dict[tuple[int, int], int] = {}
        self.end = len(data)
        self._walk()
        if not self.has_end:
            # Some programs fill the rest of an unfinished file with zeros. The first few may belong to the data.
            self.end = min(len(data), len(data.rstrip(b"\0")) + _FEW_ZEROS)

    def _walk(self) -> None:
        position = 2
        while (found := _MARKER.search(self.data, position)) is not None:
            marker = found[0][1]
            if found[0] == _END_OF_JPEG:
                self.has_end, self.end = True, found.start()
                return
            segment = self.data[found.end() + 2 : found.end() + int.from_bytes(self.data[found.end() :][:2], "big")]
            if marker in (0xC0, 0xC1, 0xC2):
                self.is_progressive = marker == 0xC2
                self.components = set(segment[6::3])
            elif marker == 0xDA and segment:
                self._add_scan(segment)
            position = found.end() + 2 + len(segment)

    def _add_scan(self, header: bytes) -> None:
        names = header[1 : 1 + 2 * header[0] : 2]
        first, last, bits = (header[-3], header[-2], header[-1] & 15) if self.is_progressive else (0, 63, 0)
        for name in names:
            for coefficient in range(first, min(last, 63) + 1):
                self.sent[name, coefficient] = bits

    def have_all_bits(self) -> bool:
        """Return whether there is a scan for the lowest bit of every coefficient."""
        wanted = ((name, coefficient) for name in self.components for coefficient in range(64))
        return bool(self.components) and not any(self.sent.get(key, 1) for key in wanted)

    def are_complete(self) -> bool:
        """Return whether all scans were sent, and the last one is not cut off."""
        if not self.have_all_bits():
            return False
        # If blocks are missing, the decoder takes the padding for blocks, and the pixels differ.
        return np.array_equal(_decode(self.padded(b"")), _decode(self.padded(_PADDING)))

    def padded(self, padding: bytes) -> bytes:
        """Return the file with something between its compressed data and the end mark."""
        return self.data[: self.end] + padding + _END_OF_JPEG


def _decode(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        return np.asarray(picture)
