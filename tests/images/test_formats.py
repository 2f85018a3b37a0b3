"""Which formats are read, and how many pixels."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, PpmImagePlugin

from maskkit._images.load import read_size
from maskkit.exceptions import ImageError, ImageWarning
from tests.helpers import load_image


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
    with pytest.raises(ImageError, match=r"^a: has .*pass max_px.*--max-pixels"):
        load_image(huge, name="a")
    with pytest.raises(ImageError, match=r"^a: has 50 x 60 pixels; want 2,999 at most\.$"):
        load_image(huge, name="a", max_px=2999)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_the_limit_holds_for_pictures_that_are_open():
    picture = Image.new("RGB", (50, 40))
    with pytest.raises(ImageError, match="has 50 x 40 pixels; want 1,999 at most"):
        load_image(picture, max_px=1999)
    np.testing.assert_array_equal(load_image(picture, max_px=2000), np.zeros((40, 50, 3)))
