"""Anybody's files: each gives the right answer or one clear error, whatever was done to it."""

import io
import os
import re
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageCms

from maskkit.exceptions import ImageError, SkippedImageWarning
from maskkit.testing import make_faces
from tests.conftest import fuzzing
from tests.helpers import load_image

KINDS: dict[str, dict] = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "WEBP": {},
    "BMP": {},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
}


def encode(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def face():
    return Image.fromarray(make_faces(1)[0][0])


@pytest.fixture(scope="module")
def files(face):
    return {kind: encode(face, kind, **options) for kind, options in KINDS.items()}


def try_to_load(data):
    """Return "read" or "refused"; anything else fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own words about what it found in a file
        try:
            image = load_image(data, name="photo.jpg")
        except ImageError as exc:
            message = str(exc)
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
            return "read"
    assert message.startswith("photo.jpg: ")
    assert "\n" not in message
    return "refused"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_every_tenth(files, kind):
    data = files[kind]
    answers = [try_to_load(data[: len(data) * tenth // 10]) for tenth in range(11)]
    assert answers[0] == "refused"
    assert answers[-1] == "read"
    # Half a picture is none: what is missing would be judged as grey.
    if kind in ("PNG", "JPEG", "WEBP"):
        assert answers[5] == "refused"


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits(files, kind):
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(files[kind])
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            data[place] ^= 1 << rng.integers(8)
        try_to_load(bytes(data))


@fuzzing(150)
@given(data=st.data())
def test_fuzz(files, data):
    """Any bytes; and parts of files put together anyhow."""
    kind = data.draw(st.sampled_from([None, *KINDS]))
    if kind is None:
        try_to_load(data.draw(st.binary(max_size=200)))
        return
    whole = files[kind]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    try_to_load(whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".txt", ".jpg", ".gif", ""])
def test_the_content_counts_not_the_name(files, kind, suffix, tmp_path):
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(files[kind])
    np.testing.assert_array_equal(load_image(path), load_image(files[kind]))


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 2)])
def test_odd_sizes_are_images(size):
    assert load_image(encode(Image.new("RGB", size), "PNG")).shape == (size[1], size[0], 3)


def test_a_bomb_is_refused_before_it_goes_off():
    """900 million pixels in a file of 3 MB would be 2.7 GB."""
    row = encode(Image.new("1", (30_000, 30_000)), "PNG")
    code = (
        "import resource, sys; from maskkit._images.load import load_image\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 * 10**9, 4 * 10**9))\n"
        "try: load_image(sys.stdin.buffer.read())\n"
        "except ValueError as exc: print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=row, capture_output=True, check=True)
    assert b"which may be an attack" in done.stdout


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_put_upright(orientation, face):
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = face.transpose(turn[orientation]) if orientation in turn else face
    np.testing.assert_array_equal(load_image(encode(lying, "PNG", exif=exif)), np.asarray(face))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", bytes(60_000)])
def test_broken_exif_costs_nobody_the_picture(exif, face):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(load_image(encode(face, "PNG", exif=exif)), np.asarray(face))


# The profile holds the time at which it is made, so its bytes are no name of a test.
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [SRGB, b"nonsense"], ids=["sRGB", "nonsense"])
def test_colour_profiles_do_no_harm(profile, face):
    np.testing.assert_array_equal(load_image(encode(face, "PNG", icc_profile=profile)), np.asarray(face))


@pytest.mark.parametrize(
    "name", ["a b.png", "it's \"it\".png", "two\nlines.png", "\N{FACE WITH MEDICAL MASK}.png", "ü" * 125 + ".png",
             "x" * 251 + ".png", "-rf.png", "%s{0}.png", "[bold]x.png", b"\xff\xfe.png"]
)  # fmt: skip
def test_every_name_can_be_read_and_is_named(name, files, face, tmp_path):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name))))
    path.write_bytes(files["PNG"])
    np.testing.assert_array_equal(load_image(path), np.asarray(face))
    path.write_bytes(b"broken")
    with pytest.raises(ImageError) as caught:
        load_image(path)
    # Bytes that are not UTF-8 are escaped, so that every message can be written.
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    assert str(caught.value).startswith(f"{shown}: cannot be read")


def test_what_is_no_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    with server:
        for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero")):
            with pytest.raises(ImageError, match="is a pipe, socket or device, not a file; read it and pass the bytes"):
                load_image(path)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageError, match="loop: cannot be read"):
        load_image(tmp_path / "loop")
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users on this system")
def test_permission_denied_is_told(files, tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(files["PNG"])
    path.chmod(0)
    was = os.geteuid()
    if was == 0:  # root may read anything
        tmp_path.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match=r"Permission denied"):
            load_image(path)
    finally:
        os.seteuid(was)


N_PHOTOS = 1000 if "MASKKIT_FUZZ" in os.environ else 200


@pytest.fixture(scope="module")
def crowd(files, tmp_path_factory):
    """Files of which ten are broken: 200, or 1,000 with MASKKIT_FUZZ."""
    folder = tmp_path_factory.mktemp("crowd")
    paths = [folder / f"{index}.png" for index in range(N_PHOTOS)]
    for index, path in enumerate(paths):
        path.write_bytes(files["PNG"][: 100 if index % (N_PHOTOS // 10) == 7 else None])
    return paths


def test_fuzz_ten_broken_photos_cost_ten_results(crowd, fitted):
    broken = crowd[7 :: N_PHOTOS // 10]
    reported = list(fitted.predict_photos(crowd))
    assert [result.name for result in reported] == [str(path) for path in crowd]
    assert [result.name for result in reported if result.status == "unreadable"] == [str(path) for path in broken]
    with pytest.warns(SkippedImageWarning) as caught:
        kept = list(fitted.predict_photos(crowd, on_error="skip"))
    assert [result.name for result in kept] == [str(path) for path in crowd if path not in broken]
    assert [str(path) in str(warning.message) for path, warning in zip(broken, caught, strict=True)] == [True] * 10
    stream = fitted.predict_photos(crowd, on_error="raise")
    assert [next(stream).name for _ in range(7)] == [str(path) for path in crowd[:7]]
    with pytest.raises(ImageError, match=f"^{re.escape(str(broken[0]))}: cannot be read"):
        next(stream)


def test_a_file_that_vanishes_after_it_was_listed_is_reported(crowd, fitted, tmp_path):
    (tmp_path / "gone.png").write_bytes(crowd[0].read_bytes())

    def stream():
        yield tmp_path / "gone.png"

    photos = stream()
    (tmp_path / "gone.png").unlink()
    (result,) = fitted.predict_photos(photos)
    assert "no such file" in result.error


def test_prediction_of_crops_names_the_broken_one(crowd, fitted):
    with pytest.raises(ImageError, match=f"^{re.escape(str(crowd[7]))}: cannot be read"):
        fitted.predict(crowd)
