"""Uploaded files are inspected before any is decoded: their format, their structure and their pixels."""

import base64
import gzip
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit.exceptions import ImageError
from maskkit.web import Limits
from maskkit.web._formats import FORMATS, describe_unsupported, identify_format
from maskkit.web._inspect import UnsupportedFormatError, Upload, _inspect
from maskkit.web._structure import MAX_PARTS, MAX_SCANS, MAX_STRIPS, MAX_TIFF_ENTRIES
from tests.conftest import fuzzing
from tests.web.conftest import as_png, serving_client

LIMIT_PX = 1_000_000
ARRAY = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def encode(file_format, array=ARRAY, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, file_format, **options)
    return file.getvalue()


def inspect(data):
    return _inspect(Upload("a", data), LIMIT_PX)


REAL = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", "comment": b"\xff\xda" * 500}),
    ("JPEG", {"restart_marker_blocks": 1}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}),
    ("GIF", {"comment": b"hello" * 100}),
    ("GIF", {"save_all": True, "append_images": [Image.new("RGB", (64, 48), "red")] * 3}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw", "big_tiff": True}),
    ("TIFF", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))] * 2}),
    ("AVIF", {}),
    ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}),
]


@pytest.mark.parametrize(("file_format", "options"), REAL)
def test_files_of_accepted_formats_pass(file_format, options):
    data = encode(file_format, **options)
    inspection = inspect(data)
    assert inspection.error is None
    assert inspection.n_px == 64 * 48
    assert identify_format(data) in FORMATS
    # What comes after the picture, such as the video of a motion photo, is not looked at.
    if file_format != "TIFF":
        assert inspect(data + b"\xff\xda\0\0" * 1_000).error is None


@pytest.mark.parametrize(
    "file_format", ["FITS", "ICO", "ICNS", "PPM", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "PDF", "EPS", "QOI"]
)
def test_other_formats_are_refused_before_they_are_opened(file_format, monkeypatch):
    if file_format == "FITS":  # Pillow only reads it
        data = b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800)
    else:
        data = encode(file_format, np.zeros((64, 64, 3), np.uint8))
    monkeypatch.setattr("maskkit.web._inspect.read_size", None)
    error = inspect(data).error
    assert error is not None
    assert "convert it to JPEG or PNG" in str(error) or "send JPEG, PNG" in str(error)


def test_tga_is_not_taken_for_an_icon():
    message = "is of no accepted format; send JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."
    assert str(inspect(encode("TGA")).error).endswith(message)
    assert "is an ICO or CUR" in str(inspect(encode("ICO")).error)


def test_avif_that_pillow_cannot_read_is_named(monkeypatch):
    monkeypatch.setattr("maskkit.web._formats.FORMATS", tuple(name for name in FORMATS if name != "AVIF"))
    assert str(inspect(encode("AVIF")).error).startswith(
        "a: is AVIF, which the server's version of Pillow does not read"
    )


def jpeg(*segments, end=b""):
    """Segments between the start of a JPEG and its picture."""
    data = encode("JPEG")
    return data[:2] + b"".join(segments) + data[2:] + end


def png(*chunks):
    data = as_png(ARRAY)
    return data[:33] + b"".join(chunks) + data[33:]


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif(before):
    data = encode("GIF")
    start = data.index(b",", 13 + 768)
    return data[:start] + before + data[start:]


def tiff(*entries):
    """A TIFF of these tags alone: pairs of a tag and a number."""
    body = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


def scans(n, array=ARRAY):
    data = encode("JPEG", array, progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * n + data[-2:]


HOSTILE = {
    "jpeg segments": jpeg(b"\xff\xfe\0\2" * (MAX_PARTS + 1)),
    "jpeg padding": jpeg(b"\xff" * 100_000),
    "jpeg escapes": jpeg(b"\xff\0" * 100_000),
    "jpeg scans": scans(MAX_SCANS + 1),
    "png chunks": png(chunk(b"tEXt", b"a\0b") * (MAX_PARTS + 1)),
    "png data of no bytes": png(chunk(b"IDAT") * (MAX_PARTS + 1)),
    "gif comment": gif(b"!\xfe" + b"\1x" * (MAX_PARTS + 1) + b"\0"),
    "gif extensions": gif(b"!\xfe\0" * (MAX_PARTS + 1)),
    "gif junk": gif(b"x" * (MAX_PARTS + 1)),
    "bmp run lengths": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 900, 900, 1, 8, 1) + bytes(2_000),
    "bmp run lengths of 4 bits": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 900, 900, 1, 4, 2) + bytes(2_000),
    "tiff strips": tiff((256, 1, 8), (257, 1, 8), (273, MAX_STRIPS + 1, 8)),
    "tiff tiles": tiff((256, 1, 8), (257, 1, 8), (324, MAX_STRIPS + 1, 8)),
    "tiff tags": tiff(*[(1_000 + index, 1, 0) for index in range(MAX_TIFF_ENTRIES + 1)]),
    "big tiff tags": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**40) + bytes(2_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_of_very_many_parts_are_refused_before_they_are_opened(name, monkeypatch):
    monkeypatch.setattr("maskkit.web._inspect.read_size", None)
    assert "is refused (it " in str(inspect(HOSTILE[name]).error)


@pytest.mark.parametrize(("n_scans", "is_refused"), [(60, True), (0, False)])
def test_scans_are_limited_with_their_pixels(n_scans, is_refused):
    """60 scans of 25 megapixels take as long as 60 such pictures; of 64 x 48 pixels, they take no time."""
    data = scans(n_scans, np.zeros((5_000, 5_000), np.uint8)) if n_scans else scans(60)
    error = _inspect(Upload("a", data), 50_000_000).error
    assert (error is not None) == is_refused
    assert not is_refused or "scans of 25,000,000 pixels" in str(error)


def test_tile_of_a_tiff_counts_as_pixels():
    """A TIFF of 8 x 8 pixels whose only tile has 26,000 x 26,000 would take 2 GB."""
    data = tiff((256, 1, 8), (257, 1, 8), (258, 1, 8), (262, 1, 1), (322, 1, 26_000), (323, 1, 26_000), (324, 1, 300))
    assert str(inspect(data).error) == "a: has tiles of 676,000,000 pixels; want 1,000,000 at most."


@given(st.sampled_from(FORMATS), st.data())
@fuzzing(150)
def test_any_change_of_a_file_passes_or_is_one_error(file_format, data):
    changed = bytearray(encode(file_format))
    for _ in range(data.draw(st.integers(0, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    error = inspect(changed).error
    assert error is None or isinstance(error, ImageError)
    assert error is None or len(str(error)) < 300


@given(st.binary(max_size=600))
@fuzzing(300)
def test_any_bytes_are_identified_or_described_or_neither(data):
    known = identify_format(data)
    assert known is None or known in FORMATS
    description = describe_unsupported(data)
    assert description is None or description.startswith("is ")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
JPEG = encode("JPEG")
UNSUPPORTED = {
    "HEIC": (HEIC, "is a HEIC photo; convert it to JPEG"),
    "HEIF": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200), "is a HEIC photo; convert it to JPEG"),
    "video": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(200), "is a video"),
    "base64": (base64.b64encode(JPEG), "is base64 text; decode it"),
    "base64 in lines": (base64.encodebytes(as_png(ARRAY)), "is base64 text; decode it"),
    "base64 of URLs": (base64.urlsafe_b64encode(JPEG), "is base64 text; decode it"),
    "base64 in quotes": (b'"' + base64.b64encode(as_png(ARRAY)) + b'"', "is base64 text; decode it"),
    "base64 of HEIC": (base64.b64encode(HEIC), "is base64 text; decode it"),
    "data URL": (b"data:image/jpeg;base64," + base64.b64encode(JPEG), "is a data URL; decode"),
    "JSON": (b'{"image": "' + base64.b64encode(JPEG) + b'"}', "is JSON; send the bytes"),
    "JSON list": (b'[\n {"image": 1}]', "is JSON; send the bytes"),
    "gzip": (gzip.compress(JPEG), "is compressed"),
    "zip": (b"PK\3\4" + JPEG, "is compressed"),
    "SVG": (b'\xef\xbb\xbf\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG or HTML"),
    "PDF": (b"%PDF-1.7 ", "is a PDF"),
}


@pytest.fixture(scope="module")
def client(fitted):
    with serving_client(fitted, limits=Limits(image_px=LIMIT_PX, request_px=2 * LIMIT_PX)) as client:
        yield client


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_known_formats_that_are_not_accepted_are_a_415_that_says_what_to_do(client, name):
    data, wanted = UNSUPPORTED[name]
    assert isinstance(inspect(data).error, UnsupportedFormatError)
    for request in (
        {"content": data, "headers": {"Content-Type": "image/heic"}},
        {"files": [("image", ("image", data)), ("image", ("image", data))]},
    ):
        response = client.post("/v1/faces", **request)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (415, "unsupported_format")
        assert error["message"].startswith(f"image: {wanted}")
        assert response.json()["photos"][0]["status"] == "unreadable"


def test_one_unsupported_file_among_others_is_a_result(client, photo):
    files = [("image", ("a.heic", HEIC)), ("image", ("b.png", photo)), ("image", ("c.jpg", b""))]
    response = client.post("/v1/faces", files=files)
    assert response.status_code == 200
    photos = response.json()["photos"]
    assert [photo["status"] for photo in photos] == ["unreadable", "ok", "unreadable"]
    assert photos[0]["error"].startswith("a.heic: is a HEIC photo")
    assert photos[2]["error"] == "c.jpg: is empty; choose another file."
    # If one file might have been readable, the request is not of an unsupported type.
    assert client.post("/v1/faces", files=[files[0], ("image", ("c.jpg", b"\xff\xd8\xff"))]).status_code == 422


def test_pixels_of_all_images_of_a_request_are_limited_before_one_is_decoded(client, photo):
    large = as_png(np.zeros((1_000, 900), np.uint8))
    files = [("image", (str(n), large)) for n in range(2)]
    assert client.post("/v1/faces", files=files).status_code == 200
    before = client.get("/metrics").text
    response = client.post("/v1/faces", files=[*files, ("image", ("third", large))])
    assert response.status_code == 413
    assert response.json()["error"] == {
        "code": "too_many_pixels",
        "message": "The images have 2,700,000 pixels together; send 2,000,000 at most, or several requests.",
    }
    batches = [line for line in before.splitlines() if line.startswith("maskkit_batch_photos_count")]
    assert batches[0] in client.get("/metrics").text


def test_limit_for_a_request_must_hold_the_largest_image():
    with pytest.raises(ValueError, match="so that the largest image would never be accepted"):
        Limits(image_px=10, request_px=9)
