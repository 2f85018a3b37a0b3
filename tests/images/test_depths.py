"""Pictures of more than 8 bits, of signed and of inverted values: scaled by what the file says, or refused."""

import io
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit.exceptions import ImageError, ImageWarning
from tests.conftest import fuzzing
from tests.helpers import load_image
from tests.images.files import encode, png_chunk, write_tiff

RAMP = np.tile(np.linspace(0, 1, 60), (37, 1))
GRAY = np.rint(RAMP * 255)


def ramp(highest):
    return np.rint(RAMP * highest).astype(np.int64)


def assert_is_the_ramp(data, off_by=0):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = load_image(data)
    assert image.shape == (37, 60, 3)
    assert np.abs(image - GRAY[:, :, None]).max() <= off_by


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_gray_is_scaled_by_its_own_bits_and_photometric_tag(bits, order, photometric):
    values = ramp(2**bits - 1)
    values = values if photometric else 2**bits - 1 - values
    for options in ({}, {"deflate": True}, {"tile": 16}, {"tile": 16, "deflate": True}):
        assert_is_the_ramp(write_tiff(values, bits, order, photometric, **options), off_by=bits not in (8, 16))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colors_are_scaled_in_one_plane_or_three(bits, order):
    values = np.dstack([ramp(2**bits - 1)] * 3)
    planar = {"planar": True}
    for options in ({}, planar, {**planar, "deflate": True}, {"tile": 16}, {**planar, "tile": 16}):
        if bits > 8 or "tile" not in options:
            assert_is_the_ramp(write_tiff(values, bits, order, 2, **options))


def test_cmyk_of_16_bits():
    inks = np.dstack([65535 - ramp(65535)] * 3 + [ramp(0)])
    assert_is_the_ramp(write_tiff(inks, 16, photometric=5))


@pytest.mark.parametrize(("extra", "premultiplied"), [(2, False), (1, True)])
@pytest.mark.parametrize("n_colors", [1, 3])
def test_transparent_pixels_of_16_bits_lie_on_white(extra, premultiplied, n_colors):
    alpha = np.full(RAMP.shape, 65535)
    alpha[:, :30] = 0
    colors = ramp(65535) * (alpha > 0) if premultiplied else ramp(65535)
    values = np.dstack([colors] * n_colors + [alpha])
    image = load_image(write_tiff(values, 16, photometric=1 if n_colors == 1 else 2, tags=[(338, 3, extra)]))
    assert (image[:, :30] == 255).all()
    np.testing.assert_array_equal(image[:, 30:, 0], GRAY[:, 30:])


def test_signed_values_are_read_where_their_range_is_known():
    assert_is_the_ramp(write_tiff(ramp(127), 8, kind=2), off_by=2)
    assert_is_the_ramp(write_tiff(ramp(32767), 16, kind=2))
    for bits in (8, 16):
        lowest = -(2 ** (bits - 1))
        values = ramp(2**bits - 1) + lowest
        with pytest.raises(ImageError, match="signed integers of unknown range"):
            load_image(write_tiff(values, bits, kind=2))
        letter = {8: 6, 16: 8}[bits]
        named = [(340, letter, lowest), (341, letter, -lowest - 1)]
        assert_is_the_ramp(write_tiff(values, bits, kind=2, tags=named))


def test_floats_are_read_where_their_range_is_named():
    for bits in (32, 64):
        with pytest.raises(ImageError, match="floats of unknown range"):
            load_image(write_tiff(RAMP, bits, kind=3))
        kind = {32: 11, 64: 12}[bits]
        assert_is_the_ramp(write_tiff(RAMP * 2 - 1, bits, kind=3, tags=[(340, kind, -1.0), (341, kind, 1.0)]))
        inverted = [(340, kind, 0.0), (341, kind, 1.0)]
        assert_is_the_ramp(write_tiff(1 - RAMP, bits, photometric=0, kind=3, tags=inverted))
    with pytest.raises(ImageError, match="floats of unknown range"):
        load_image(write_tiff(RAMP * np.nan, 32, kind=3, tags=[(340, 11, 0.0), (341, 11, 1.0)]))


def test_12_bits_in_16_are_scaled_if_the_file_says_so_and_named_if_not():
    assert_is_the_ramp(write_tiff(ramp(4095), 16, tags=[(281, 3, 4095)]))
    assert_is_the_ramp(write_tiff(ramp(1000), 16, tags=[(281, 3, 1000)]), off_by=6)
    for data in (write_tiff(ramp(4095), 16), encode(Image.fromarray(ramp(4095).astype(np.uint16)), "PNG")):
        with pytest.warns(
            ImageWarning, match=r"^dark: is nearly black: its brightest value is 4095 of 65,535; if that is"
        ):
            assert load_image(data, name="dark").max() == 16


def test_32_bit_integers_are_read_as_what_they_hold():
    with pytest.warns(ImageWarning, match=r"32-bit integers up to 255, taken for 8-bit ones"):
        np.testing.assert_array_equal(load_image(Image.fromarray(ramp(255).astype(np.int32)))[:, :, 0], GRAY)
    with pytest.warns(ImageWarning, match=r"32-bit integers up to 65535, taken for 16-bit ones"):
        np.testing.assert_array_equal(load_image(write_tiff(ramp(65535), 32))[:, :, 0], GRAY)
    assert_is_the_ramp(write_tiff(ramp(2**32 - 1), 32))
    with pytest.raises(ImageError, match="32-bit integers of unknown range"):
        load_image(write_tiff(ramp(2**20), 32))


@pytest.mark.parametrize("highest", [1023, 4095, 65535])
def test_gray_ppm_files_are_scaled_by_their_own_maximum(highest):
    header = f"P5 60 37 {highest}\n".encode()
    assert_is_the_ramp(header + ramp(highest).astype(">u2").tobytes(), off_by=1)


def test_many_channels_of_many_bits_count_as_more_pixels():
    values = np.zeros((20, 50, 8))
    data = write_tiff(values, 64, kind=3, tags=[(340, 12, 0.0), (341, 12, 1.0)])
    assert load_image(data, max_px=8_000).shape == (20, 50, 3)
    with pytest.raises(ImageError, match="want 7,999 at most"):
        load_image(data, max_px=7_999)


def test_an_open_tiff_is_scaled_like_the_file():
    for bits, photometric in ((12, 1), (16, 0)):
        values = ramp(2**bits - 1)
        data = write_tiff(values if photometric else 2**bits - 1 - values, bits, photometric=photometric)
        with Image.open(io.BytesIO(data)) as picture:
            assert_is_the_ramp(picture)


def test_a_palette_of_8_bits_is_not_black():
    """The values of a palette have 16 bits, but some writers fill 8 of them."""
    for factor in (1, 257):
        colors = (np.tile(np.arange(256), 3) * factor).tolist()
        assert_is_the_ramp(write_tiff(GRAY, 8, photometric=3, tags=[(320, 3, colors)]))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_gray_of_any_depth_lies_on_white(bits):
    transparent = 2**bits - 1
    values = np.zeros((4, 8), dtype=int)
    values[:, 4:] = transparent
    image = load_image(write_png(values, bits, transparent // 2 if bits > 1 else 1))
    assert (image[:, :4] == 0).all()
    values[:, 4:] = transparent // 2 if bits > 1 else 1
    values[0, 0] = transparent
    image = load_image(write_png(values, bits, values[0, 4]))
    assert (image[:, 4:] == 255).all()
    assert (image[1:, :4] == 0).all()


def write_png(values, bits, transparent):
    """Return a gray PNG file with a transparent value."""
    unpacked = (values[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(unpacked.reshape(len(values), -1).astype(np.uint8), axis=1)
    scans = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"tRNS": struct.pack(">H", transparent), b"IDAT": zlib.compress(scans), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks.items())


@fuzzing(60)
@given(data=st.data())
def test_fuzz_tiff(data):
    """Damaged TIFF files of many bits are read or refused, and never end the process."""
    bits = data.draw(st.sampled_from([8, 12, 16, 32]))
    order, tile = data.draw(st.sampled_from("<>")), data.draw(st.sampled_from([None, 16]))
    whole = bytearray(write_tiff(ramp(2**bits - 1)[:8], bits, order, tile=tile))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1) | st.integers(len(whole) - 200, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings(), suppress(ImageError):
        warnings.simplefilter("ignore")
        assert load_image(bytes(whole), max_px=10**6).dtype == np.uint8
