"""Writers of files that Pillow reads but does not write."""

import io
import struct
import zlib

import numpy as np

_LETTERS = {1: "B", 3: "H", 4: "I", 5: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d"}


def encode(picture, form, **options):
    """Return a picture as a file that Pillow writes."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def png_chunk(kind, data):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_exif(entries, order="<"):
    """Return EXIF data of the entries of its first directory, as `directory` takes them."""
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + directory(entries, order, 8)


def write_tiff(values, bits, order="<", photometric=1, kind=1, *, tags=(), planar=False, deflate=False, tile=None):
    """Return a TIFF file of integers or floats (height, width, samples), packed to so many bits.

    `kind` is the tag SampleFormat. `tags` are further (tag, type, value).
    """
    values = np.atleast_3d(values)
    height, width, n_samples = values.shape
    planes = [values[:, :, index : index + 1] for index in range(n_samples)] if planar else [values]
    side = tile or 0
    parts = [part for plane in planes for part in (_tiles(plane, side) if tile else [plane])]
    strips = [_pack(part, bits, order, kind) for part in parts]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    offsets = np.cumsum([8, *map(len, strips)]).tolist()
    places = [(324, 4, offsets[:-1]), (325, 4, [*map(len, strips)])] if tile else []
    places = places or [(273, 4, offsets[:-1]), (278, 4, height), (279, 4, [*map(len, strips)])]
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, [bits] * n_samples), (259, 3, 8 if deflate else 1),
        (262, 3, photometric), (277, 3, n_samples), (284, 3, 2 if planar else 1), (339, 3, [kind] * n_samples),
        *places, *([(322, 3, side), (323, 3, side)] if tile else []), *tags,
    ]  # fmt: skip
    body = b"".join(strips)
    body += bytes(len(body) % 2)
    return (
        struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body))
        + body
        + directory(entries, order, 8 + len(body))
    )


def directory(entries, order, start, following=0):
    """Return a TIFF directory that begins at an offset; entries are (tag, type, number, numbers or bytes)."""
    head = struct.pack(f"{order}H", len(entries))
    end = start + 2 + 12 * len(entries) + 4
    long_values = b""
    for tag, kind, value in sorted(entries, key=lambda entry: entry[0]):
        if isinstance(value, tuple):  # a number of values, and the four bytes of the entry
            count, packed = value
        elif isinstance(value, bytes):
            count, packed = len(value), value
        else:
            numbers = value if isinstance(value, list) else [value]
            count, packed = len(numbers), struct.pack(f"{order}{len(numbers)}{_LETTERS[kind]}", *numbers)
        if len(packed) > 4:
            packed, long_values = struct.pack(f"{order}I", end + len(long_values)), long_values + packed
        head += struct.pack(f"{order}HHI4s", tag, kind, count, packed)
    return head + struct.pack(f"{order}I", following) + long_values


def _tiles(plane, side):
    height, width, n_samples = plane.shape
    padded = np.zeros((-(-height // side) * side, -(-width // side) * side, n_samples), plane.dtype)
    padded[:height, :width] = plane
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield padded[top : top + side, left : left + side]


def _pack(part, bits, order, kind):
    if kind == 3:
        return part.astype(f"{order}f{bits // 8}").tobytes()
    if bits in (8, 16, 32):
        return part.astype(f"{order}{'i' if kind == 2 else 'u'}{bits // 8}").tobytes()
    flat = part.reshape(len(part), -1).astype(np.int64)
    unpacked = (flat[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(unpacked.reshape(len(part), -1).astype(np.uint8), axis=1).tobytes()
