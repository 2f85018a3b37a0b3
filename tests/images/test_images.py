"""Every form of a picture gives the same pixels, and what is no picture is named."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from maskkit.exceptions import ImageError, ImageWarning
from tests.helpers import Preprocess, load_image


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (24, 36, 3), dtype=np.uint8))


def encode(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_all_forms_of_one_file_agree(picture, kind, tmp_path):
    data = encode(picture, kind)
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(data)
    expected = load_image(path)
    assert expected.shape == (24, 36, 3)
    assert expected.dtype == np.uint8
    with path.open("rb") as file, Image.open(path) as opened:
        for form in (str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file, opened, expected):
            np.testing.assert_array_equal(load_image(form), expected)


def test_lossless_files_keep_every_pixel(picture):
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(load_image(encode(picture, kind)), np.asarray(picture))


def test_file_object_is_read_from_its_position_and_put_back(picture):
    file = io.BytesIO(b"header" + encode(picture, "PNG"))
    file.seek(6)
    first, second = load_image(file), load_image(file)
    np.testing.assert_array_equal(first, second)
    assert file.tell() == 6


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_opaque_mode_becomes_rgb(picture, mode):
    converted = picture.convert(mode)
    np.testing.assert_array_equal(load_image(converted), np.asarray(converted.convert("RGB")))


def test_grey_array_becomes_three_equal_channels():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = load_image(grey)
    assert image.shape == (3, 4, 3)
    assert (image == grey[:, :, None]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_lie_on_white(mode):
    clear = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    clear.putpixel((1, 0), (200, 0, 0, 255))
    image = load_image(clear.convert(mode))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 1].tolist() != [255, 255, 255]


def test_palette_with_a_transparent_colour_lies_on_white():
    picture = Image.new("P", (1, 1))
    picture.putpalette([10, 20, 30])
    image = load_image(encode(picture, "PNG", transparency=0))
    assert image[0, 0].tolist() == [255, 255, 255]


def test_16_bit_grey_is_scaled_not_clipped():
    levels = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    image = load_image(encode(Image.fromarray(levels), "PNG"))
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


def test_first_frame_of_an_animation_is_taken():
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        exact = {"lossless": True} if kind == "WEBP" else {}
        data = encode(red, kind, save_all=True, append_images=[blue], **exact)
        with pytest.warns(ImageWarning, match="only"):
            assert load_image(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_every_form(orientation, tmp_path):
    upright = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    turns = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if turns[orientation] is None else upright.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    for form in (path, path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(load_image(form), np.asarray(upright))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file.jpg", r"no/such/file\.jpg: no such file; check the path"),
        ("https://example.org/face.jpg", "is a URL, and prediction uses no network; download it"),
        ("file:///photos/face.jpg", "is a URL; pass the path of the file, without file://"),
        (b"not a picture", "bytes: cannot be read as an image"),
        (io.StringIO("text"), "open it in binary mode"),
        (np.zeros((4, 4, 3)), r"dtype float64: want dtype uint8"),
        (np.zeros((4, 4, 4), dtype=np.uint8), r"shape \(4, 4, 4\).*want shape \(H, W, 3\) or \(H, W\)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros(5, dtype=np.uint8), r"shape \(5,\)"),
        (3.5, "float: is not an image; want a path, bytes"),
        (Image.new("F", (2, 2)), "floats of unknown range"),
        (Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)), "32-bit integers of unknown range"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_way_out(source, message):
    with pytest.raises(ImageError, match=message):
        load_image(source)


def test_truncated_file_and_folder_are_named(picture, tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(picture, "JPEG")[:300])
    with pytest.raises(ImageError, match=r"cut\.jpg: cannot be read as an image"):
        load_image(path)
    with pytest.raises(ImageError, match="is a folder; list the image files in it"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    "one", ["face.jpg", b"bytes", Image.new("RGB", (2, 2)), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)]
)
def test_one_image_for_many_is_refused(fitted, one):
    with pytest.raises(TypeError, match=r"X is one image .* want a list of images"):
        fitted.predict(one)


def test_collections_of_images_are_listed(fitted, face_paths):
    paths = list(map(str, face_paths[0][:2]))
    np.testing.assert_array_equal(fitted.predict_proba(np.array(paths)), fitted.predict_proba(paths))
    assert len(fitted.predict(np.zeros((3, 4, 4, 3), np.uint8))) == 3
    with pytest.raises(ValueError, match="X is empty"):
        fitted.predict([])
    with pytest.raises(TypeError, match="int; want a list"):
        fitted.predict(3)


def test_names_say_where_an_image_came_from(fitted):
    gray = np.zeros((2, 2), np.uint8)
    names = [photo.name for photo in fitted.predict_photos([gray, gray, gray, gray, "street.jpg"])]
    assert names[3:] == ["image 3 (array of shape (2, 2) and dtype uint8)", "street.jpg"]
    with pytest.raises(ImageError, match=r"^file BytesIO: cannot be read"):
        fitted.predict_faces(io.BytesIO())


def test_a_far_larger_jpeg_is_decoded_smaller_and_looks_the_same():
    picture = Image.fromarray(skimage.data.astronaut()).resize((2048, 2048))
    data = encode(picture, "JPEG", quality=95)
    assert load_image(data, min_px=300).shape == (512, 512, 3)
    assert load_image(data, min_px=1025).shape == (2048, 2048, 3)
    preprocess = Preprocess(64, mean=(0.5,) * 3, std=(0.5,) * 3)
    off = preprocess.load(data).astype(int) - preprocess.load(load_image(data))
    assert np.abs(off).mean() < 1
    assert np.abs(off).max() < 10


def test_most_px_is_told_from_the_header(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (50, 20)).save(path)
    assert load_image(path, max_px=1_000).shape == (20, 50, 3)
    with pytest.raises(ImageError, match=r"wide\.png: has 50 x 20 pixels; want 999 at most\."):
        load_image(path, max_px=999)
