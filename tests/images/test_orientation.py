"""Photos are put upright, whatever else is in their EXIF data."""

import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit.testing import make_faces
from tests.conftest import fuzzing
from tests.helpers import load_image
from tests.images.files import encode, png_chunk, write_exif, write_tiff

ORIENTATION, X_RESOLUTION, MAKE, EXIF_IFD, GPS_IFD = 274, 282, 271, 34665, 34853
SIX = (ORIENTATION, 3, 6)
FINE = {"quality": 95}
KINDS = {"JPEG": FINE, "PNG": {}, "WEBP": {"lossless": True}, "MPO": FINE}
XMP_TEXTS = ["tiff:Orientation='6'", 'tiff:Orientation = "6"', "<tiff:Orientation>6</tiff:Orientation>"]

# Directories that hold the orientation 6, and something that cannot be read or written.
DAMAGED = {
    "a resolution as text": [SIX, (X_RESOLUTION, 2, b"72\0")],
    "a value behind the end": [(MAKE, 2, (100, struct.pack("<I", 99_999))), SIX],
    "a type that does not exist": [(MAKE, 77, (100, b"abcd")), SIX],
    "a value larger than the file": [(MAKE, 2, (2**31, b"abcd")), SIX],
    "a directory behind the end": [SIX, (EXIF_IFD, 4, 99_999)],
    "a directory that is text": [SIX, (GPS_IFD, 2, b"abc\0")],
    "a division by zero": [SIX, (X_RESOLUTION, 5, (1, struct.pack("<I", 200)))],
    "the orientation as a long number": [(ORIENTATION, 4, 6)],
    "the orientation as a byte": [(ORIENTATION, 1, 6)],
    "the orientation as text": [(ORIENTATION, 2, b"6\0")],
    "the orientation twice": [(ORIENTATION, 3, [6, 6])],
}


@pytest.fixture(scope="module")
def face():
    return Image.fromarray(make_faces(1)[0][0]).resize((48, 32))


@pytest.fixture(scope="module")
def lying(face):
    """The face as a camera stores it that is held upright: orientation 6."""
    return face.transpose(Image.Transpose.ROTATE_90)


def assert_upright(data, face):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's words about the rest of the EXIF data
        image = load_image(data)
    assert image.shape == (32, 48, 3)
    assert np.abs(image.astype(int) - np.asarray(face)).mean() < 6


def add_exif(picture, form, exif):
    """Return a file with EXIF data that Pillow would not write."""
    further = {"save_all": True, "append_images": [picture]} if form == "MPO" else {}
    return encode(picture, form, exif=b"Exif\0\0" + exif, **KINDS[form], **further)


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_tag_does_not_lay_a_photo_on_its_side(form, damage, face, lying):
    assert_upright(add_exif(lying, form, write_exif(DAMAGED[damage])), face)


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_tag_does_not_lay_a_tiff_on_its_side(damage, face, lying):
    # The values of these entries would lie elsewhere in a TIFF file; what they say is as wrong there.
    assert_upright(write_tiff(np.asarray(lying), 8, photometric=2, tags=DAMAGED[damage]), face)
    deep = np.asarray(lying).astype(int) * 257
    assert_upright(write_tiff(deep, 16, photometric=2, tags=DAMAGED[damage]), face)


def test_an_avif_turned_by_its_own_box_is_read_whatever_its_exif_holds(face, lying):
    """The box is written for the orientation; Pillow can then not write the EXIF data."""
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "me", 6
    data = encode(lying, "AVIF", exif=exif, **FINE)
    assert_upright(data, face)
    order = "<" if b"II*\0" in data else ">"
    made = struct.pack(f"{order}HHI", MAKE, 2, 3)
    assert made in data
    assert_upright(data.replace(made, struct.pack(f"{order}HHI", X_RESOLUTION, 2, 3)), face)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_as_hexadecimal_text_of_a_png(order, face, lying):
    exif = b"Exif\0\0" + write_exif([SIX], order)
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n"
    data = encode(lying, "PNG")
    chunk = png_chunk(b"tEXt", b"Raw profile type exif\0" + text.encode())
    assert_upright(data[:33] + chunk + data[33:], face)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("text", XMP_TEXTS)
def test_orientation_in_xmp_alone(form, text, face, lying):
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{text}</x:xmpmeta>".encode()
    if form == "TIFF":
        data = write_tiff(np.asarray(lying), 8, photometric=2, tags=[(700, 1, xmp)])
    elif form == "PNG":
        plain = encode(lying, "PNG")
        data = plain[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp) + plain[33:]
    else:
        data = encode(lying, form, xmp=xmp, **KINDS[form])
    assert_upright(data, face)


def test_xmp_that_is_no_text_does_no_harm(face):
    tags = [(700, 3, [1, 2, 3]), (ORIENTATION, 3, 1)]
    assert_upright(write_tiff(np.asarray(face), 8, photometric=2, tags=tags), face)


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(value, face):
    assert_upright(add_exif(face, "JPEG", write_exif([(ORIENTATION, 3, value)])), face)


def test_pictures_in_memory_are_turned_by_what_they_hold(face, lying):
    picture = lying.copy()
    picture.getexif()[ORIENTATION] = 6
    assert_upright(picture, face)
    with Image.open(io.BytesIO(add_exif(lying, "JPEG", write_exif(DAMAGED["a resolution as text"])))) as opened:
        assert_upright(opened, face)


@fuzzing(60)
@given(
    form=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    order=st.sampled_from("<>"),
    changes=st.dictionaries(st.integers(14, 80), st.integers(0, 255), max_size=6),
    rest=st.binary(max_size=40),
)
def test_fuzz_exif_never_costs_a_picture(form, order, changes, rest):
    picture = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(4, 8, 3))
    entries = [(MAKE, 2, b"a maker\0"), SIX, (X_RESOLUTION, 5, [72, 1]), (EXIF_IFD, 4, 30)]
    exif = bytearray(write_exif(entries, order) + rest)
    for place, value in changes.items():
        exif[place % len(exif)] = value
    data = encode(picture, form, exif=b"Exif\0\0" + bytes(exif))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sorted(load_image(data).shape) == [3, 4, 8]
