"""Files that lack an end mark, or hold much text, are read; files that lack pixels are refused."""

import io
import re
import warnings
import zlib

import numpy as np
import pytest
import skimage.data
from PIL import Image

from maskkit.exceptions import ImageError, ImageWarning
from tests.helpers import load_image, read_size
from tests.images.files import encode, png_chunk

PROGRESSIVE, RESTARTS = {"progressive": True}, {"restart_marker_rows": 1}
JPEGS = [{}, PROGRESSIVE, RESTARTS, {"subsampling": 0}, {"quality": 30}, {**PROGRESSIVE, "quality": 100}]


@pytest.fixture(scope="module")
def picture():
    return Image.fromarray(skimage.data.astronaut()).resize((150, 110))


def scan_end(data):
    """Return where the compressed data of a JPEG file without thumbnails end."""
    return data.rindex(b"\xff\xd9")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("tail", [b"", b"\xff", bytes(700)])
def test_a_jpeg_without_end_mark_is_read(options, mode, tail, picture):
    data = encode(picture.convert(mode), "JPEG", **options)
    np.testing.assert_array_equal(load_image(data[: scan_end(data)] + tail), load_image(data))


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("tail", [b"", bytes(40_000), b"\xff\xd9", b"\xff\xd9" + bytes(100)])
def test_a_jpeg_that_lacks_pixels_is_refused(options, tail, picture):
    """Not even a mark at the end, or zeros up to the expected length, make gray rows a picture."""
    data = encode(picture, "JPEG", **options)
    start = re.search(rb"\xff\xda", data).end()
    # A progressive file holds all pixels early, and then gets sharper: with an end mark it is read and named. What its
    # last scan lacks cannot be told.
    is_sharpened = options.get("progressive") and tail.startswith(b"\xff")
    for part in (0.1,) if is_sharpened else (0.1, 0.5, 0.9):
        cut = start + round((scan_end(data) - start) * part)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises((ImageError, ImageWarning), match=r"truncated|broken|lacks its finest detail") as caught:
                load_image(data[:cut] + tail)
            assert is_sharpened or caught.type is ImageError


def test_a_progressive_jpeg_that_lacks_scans_is_refused(picture):
    data = encode(picture, "JPEG", progressive=True)
    scans = [found.start() for found in re.finditer(rb"\xff[\xc4\xda]", data)]
    with pytest.raises(ImageError, match="truncated"):
        load_image(data[: scans[-1]])


def test_a_gray_corner_alone_is_no_sign_of_damage():
    gray = Image.new("RGB", (64, 64), (128, 128, 128))
    for options in JPEGS:
        data = encode(gray, "JPEG", **options)
        assert load_image(data).std() == 0
        assert load_image(data[:-2]).std() == 0


def test_a_webp_without_the_last_byte_of_padding_is_read(picture):
    sizes = ((picture.resize((side, 20)), {"quality": side}) for side in range(20, 60))
    data = next(data for data in (encode(small, "WEBP", **options) for small, options in sizes) if data.endswith(b"\0"))
    length = int.from_bytes(data[16:20], "little")
    if length % 2:
        np.testing.assert_array_equal(load_image(data[:-1]), load_image(data))
    with pytest.raises(ImageError):
        load_image(data[:-2])


@pytest.mark.parametrize("n_bytes", [14, 40, 200])
def test_a_webp_that_was_cut_off_is_named_so(n_bytes, picture):
    data = encode(picture, "WEBP")
    message = rf"\(image file is truncated: it has {n_bytes} of {len(data):,} bytes\)\.$"
    for read in (load_image, read_size):
        with pytest.raises(ImageError, match=message):
            read(data[:n_bytes])


def text_chunks():
    """Return chunks of more text than Pillow reads, and damaged ones."""
    long = b"x" * 2_000_000
    packed = zlib.compress(long)
    damaged = bytearray(png_chunk(b"tEXt", b"Comment\0damaged"))
    damaged[-1] ^= 1
    return {
        "long text": png_chunk(b"tEXt", b"Comment\0" + long) * 40,
        "long compressed text": png_chunk(b"zTXt", b"Comment\0\0" + packed),
        "long international text": png_chunk(b"iTXt", b"Comment\0\1\0en\0Comment\0" + packed),
        "a long profile": png_chunk(b"iCCP", b"profile\0\0" + packed),
        "an unknown compression": png_chunk(b"zTXt", b"Comment\0\7" + packed),
        "a profile of unknown compression": png_chunk(b"iCCP", b"profile\0\7" + packed),
        "text with a wrong checksum": bytes(damaged),
    }


@pytest.mark.parametrize("kind", text_chunks())
@pytest.mark.parametrize("place", [33, -12], ids=["before the pixels", "behind the pixels"])
def test_text_in_a_png_never_costs_the_picture(kind, place, picture):
    exif = Image.Exif()
    exif[274] = 6
    whole = encode(picture, "PNG", exif=exif)
    data = whole[:place] + text_chunks()[kind] + whole[place:]
    np.testing.assert_array_equal(load_image(data), load_image(whole))
    assert read_size(data) == (150, 110)
    with pytest.raises(ImageError):
        load_image(data[: len(data) // 2] if place > 0 else data[: len(whole) // 2])


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA", "SGI", "PCX"])
def test_no_format_gives_half_a_picture(form, picture):
    whole = encode(picture, form)
    expected = load_image(whole)
    for cut in (1, 2, 3, 8, 30, 200, len(whole) // 4, len(whole) // 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = load_image(whole[:-cut])
            except ImageError:
                continue
        np.testing.assert_array_equal(image, expected)


def test_a_stream_of_many_large_chunks_is_read_in_bounded_memory(picture):
    """Text that would grow to 100 MB is not decompressed."""
    import tracemalloc

    whole = encode(picture, "PNG")
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))
    tracemalloc.start()
    try:
        load_image(io.BytesIO(whole[:33] + text + whole[33:]))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
