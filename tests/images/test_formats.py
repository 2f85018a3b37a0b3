"""Which formats are read, and how many pixels."""

import io
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, PpmImagePlugin

from maskkit.exceptions import ImageError, ImageWarning
from tests.helpers import load_image, read_size


def encode(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def test_only_the_requested_formats_are_read():
    png = encode(Image.new("RGB", (5, 4)), "PNG")
    assert load_image(png, formats=["jpeg", "png"]).shape == (4, 5, 3)
    assert read_size(png, formats=["PNG"]) == (5, 4)
    for read in (load_image, read_size):
        with pytest.raises(ImageError, match=r"^a\.png: .*its format is PNG; want BMP, JPEG\)"):
            read(png, name="a.png", formats=["JPEG", "BMP"])
    with pytest.raises(ValueError, match=r"formats: NOSUCH cannot be read; choose from .*PNG"):
        load_image(png, formats=["NOSUCH"])


def test_photos_of_several_pictures_are_of_the_format_mpo():
    mpo = encode(Image.new("RGB", (5, 4)), "MPO", save_all=True, append_images=[Image.new("RGB", (5, 4))])
    assert load_image(mpo, formats=["MPO"]).shape == (4, 5, 3)


def test_openers_that_are_registered_later_are_used(monkeypatch):
    class Reader(PpmImagePlugin.PpmImageFile):
        format = "MINE"

        def _open(self):
            self.fp = io.BytesIO(self.fp.read()[4:])
            super()._open()

    data = b"mine" + encode(Image.new("RGB", (5, 4), "red"), "PPM")
    with pytest.raises(ImageError, match="no format that Pillow knows"):
        load_image(data)
    monkeypatch.setitem(Image.OPEN, "MINE", (Reader, lambda head: head.startswith(b"mine")))
    assert load_image(data)[0, 0].tolist() == [255, 0, 0]


def test_readers_that_take_any_file_are_tried_last(monkeypatch):
    def refuse(file, name):
        raise AssertionError("tried first")

    for form in ("TGA", "PCD", "IM"):
        monkeypatch.setitem(Image.OPEN, form, (refuse, None))
    assert load_image(encode(Image.new("RGB", (5, 4)), "WEBP")).shape == (4, 5, 3)


def test_postscript_is_never_run():
    eps = encode(Image.new("RGB", (5, 4)), "EPS")
    with pytest.raises(ImageError, match="cannot be read as an image"):
        load_image(eps)
    with pytest.raises(ValueError, match="EPS cannot be read"):
        load_image(eps, formats=["EPS"])


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "GIF"])
def test_large_pictures_are_named_or_read_at_will(form, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    small, large, huge = (encode(Image.new("RGB", (50, height)), form) for height in (20, 40, 60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(small).shape == (20, 50, 3)
        assert load_image(huge, max_px=3000).shape == (60, 50, 3)
    with pytest.warns(ImageWarning, match=r"^a: has 50 x 40 pixels; reading it takes about") as caught:
        assert load_image(large, name="a").shape == (40, 50, 3)
    assert len(caught) == 1
    with pytest.raises(ImageError, match=r"^a: has .*pass max_px.*--max-pixels.* PIL.Image.MAX_IMAGE_PIXELS"):
        load_image(huge, name="a")
    with pytest.raises(ImageError, match=r"^a: has 50 x 60 pixels; want 2,999 at most\.$"):
        load_image(huge, name="a", max_px=2999)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_the_limit_holds_for_pictures_that_are_open():
    picture = Image.new("RGB", (50, 40))
    with pytest.raises(ImageError, match="has 50 x 40 pixels; want 1,999 at most"):
        load_image(picture, max_px=1999)
    np.testing.assert_array_equal(load_image(picture, max_px=2000), np.zeros((40, 50, 3)))


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(36)


@pytest.mark.parametrize("brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0miafheic", b"msf1\0\0\0\0hevcmsf1"])
def test_heic_without_its_library_names_the_extra(brands, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for form in ("HEIF", "AVIF"):
        monkeypatch.delitem(Image.OPEN, form, raising=False)
    data = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    with pytest.raises(ImageError) as caught:
        load_image(data, name="IMG_0001.HEIC")
    assert str(caught.value) == (
        "IMG_0001.HEIC: is a photo in HEIC, and pillow_heif is not installed; install it: "
        "pip install 'maskkit[heif]', or convert it to JPEG."
    )


def test_heic_is_read_by_the_library_of_the_extra(monkeypatch):
    """The opener is registered at the first photo that needs it, and not for those who read other formats only."""
    Image.init()
    for name in ("OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, name, dict(getattr(Image, name)))
    Image.OPEN.pop("HEIF", None)

    def register_heif_opener():
        Image.OPEN["HEIF"] = (lambda file, name: Image.new("RGB", (4, 3), "red"), lambda head: head[4:8] == b"ftyp")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register_heif_opener))
    with pytest.raises(ImageError, match="its format is HEIC, which is not read; convert it to JPEG or PNG"):
        load_image(HEIC, formats=["JPEG"])
    assert "HEIF" not in Image.OPEN
    assert load_image(HEIC).shape == (3, 4, 3)
    assert load_image(HEIC).shape == (3, 4, 3)


def test_heic_of_a_phone_is_read():
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: pip install 'maskkit[heif]'")
    gradient = np.linspace(0, 255, 64 * 48 * 3).astype(np.uint8).reshape(48, 64, 3)
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(gradient)).save(file, quality=95)
    read = load_image(file.getvalue())
    assert read.shape == gradient.shape
    assert np.abs(read.astype(int) - gradient).mean() < 12


@pytest.mark.parametrize(("head", "form"), [(b"\xff\x0a\xfa\x7f", "JPEG XL"), (b"FUJIFILMCCD-RAW 0201", "camera raw")])
def test_known_format_that_is_not_read_is_named(head, form):
    with pytest.raises(ImageError, match=f"its format is {form}, which is not read; convert it to JPEG or PNG"):
        load_image(head + bytes(64), name="a")


@pytest.mark.parametrize("data", [b"", b"B", b"II*", b"\xff\xd8"])
def test_file_of_few_bytes_is_one_plain_error(data):
    with pytest.raises(
        ImageError, match=r"^a\.jpg: cannot be read as an image \((the file is empty|no format)"
    ) as caught:
        load_image(data, name="a.jpg")
    assert "unpack" not in str(caught.value)
