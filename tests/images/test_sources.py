"""Streams that cannot seek, text instead of bytes, and files of several pages."""

import base64
import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskkit.exceptions import ImageError, ImageWarning
from maskkit.testing import make_faces
from tests.helpers import load_image
from tests.images.files import encode


class Response(io.RawIOBase):
    """A stream that can be read once, like that of an HTTP response."""

    def __init__(self, data):
        self.rest = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.rest.readinto(buffer)


class Bare:
    """The least that a stream can be."""

    def __init__(self, data):
        self.rest = io.BytesIO(data)

    def read(self, size=-1):
        return self.rest.read(size)


@pytest.fixture(scope="module")
def png():
    return encode(Image.fromarray(make_faces(1)[0][0]), "PNG")


@pytest.mark.parametrize("stream", [Response, Bare, lambda data: io.BufferedReader(Response(data))])
def test_a_stream_that_cannot_seek_is_read(stream, png, fitted):
    np.testing.assert_array_equal(load_image(stream(png)), load_image(png))
    np.testing.assert_array_equal(fitted.predict_proba([stream(png)] * 1), fitted.predict_proba([png]))
    photo = fitted.predict_faces(stream(png))
    assert photo.status == "ok"
    assert photo.draw().size == Image.open(io.BytesIO(png)).size
    (streamed,) = fitted.predict_photos([stream(png)])
    assert [face.box for face in streamed] == [face.box for face in photo]
    assert streamed.draw().size == photo.draw().size


def test_a_pipe_is_read(png):
    reader, writer = os.pipe()

    def write():
        with os.fdopen(writer, "wb") as file:
            file.write(png)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as file:
        np.testing.assert_array_equal(load_image(file), load_image(png))
    thread.join()


def test_streams_of_a_training_set_are_read_once(faces):
    from tests.conftest import make_classifier

    files = [encode(Image.fromarray(face), "PNG") for face in faces[0]]
    expected = make_classifier().fit(files, faces[1]).predict_proba(files)
    streams = list(map(Response, files))
    np.testing.assert_array_equal(make_classifier().fit(streams, faces[1]).predict_proba(files), expected)


def test_what_a_stream_returns_is_named():
    class Upload:
        def read(self):
            return 5

    with pytest.raises(ImageError, match=r"^file Upload: its read\(\) returned int; want bytes\.$"):
        load_image(Upload())
    with pytest.raises(ImageError, match="open it in binary mode"):
        load_image(io.StringIO("text"))


@pytest.mark.parametrize("form", [str, Path, lambda text: text.encode()])
@pytest.mark.parametrize("head", ["data:image/png;base64,", "DATA:;base64,", ""])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_base64_text_is_told_in_one_line(form, head, kind, png):
    picture = Image.open(io.BytesIO(png))
    text = head + base64.b64encode(encode(picture, kind)).decode() * 3
    with pytest.raises(ImageError) as caught:
        load_image(form(text))
    message = str(caught.value)
    assert len(message) < 200
    assert f"is {'a data URL' if head else 'base64 text'} ({len(text):,} letters); decode it and pass the bytes." in (
        message.replace(f"{len(str(form(text))):,}", f"{len(text):,}")
    )


def test_long_text_does_not_fill_the_screen(fitted):
    with pytest.raises(ImageError) as caught:
        load_image("{'a': 1}" * 20_000)
    assert len(str(caught.value)) < 600
    (result,) = fitted.predict_photos(["x" * 100_000])
    assert len(result.error) < 600
    assert len(result.name) < 100


def test_an_empty_path_is_named():
    for empty in ("", b""):
        with pytest.raises(ImageError, match=r"empty path|cannot be read as an image"):
            load_image(empty)


@pytest.mark.parametrize(("form", "what"), [("TIFF", "has 3 pages"), ("GIF", "is an animation"),
                                            ("PNG", "is an animation"), ("WEBP", "is an animation"),
                                            ("AVIF", "is an animation")])  # fmt: skip
def test_further_pages_are_told(form, what, tmp_path, fitted):
    pages = [Image.fromarray(face) for face in make_faces(3)[0]]
    path = tmp_path / "pages"
    path.write_bytes(encode(pages[0], form, save_all=True, append_images=pages[1:]))
    with pytest.warns(ImageWarning, match=f"^{path}: {what}; only") as caught:
        image = load_image(path)
    assert len(caught) == 1
    assert image.shape == (pages[0].height, pages[0].width, 3)
    with pytest.warns(ImageWarning, match=f"^{path}: {what}"):
        (result,) = fitted.predict_photos([path])
    assert [note.startswith(what) for note in result.notes] == [True]
    assert result.to_dict()["notes"] == list(result.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # The user has been told.
        result.draw()


@pytest.mark.parametrize("bits", [8, 16])
def test_thumbnails_and_masks_are_no_pages(bits):
    from tests.images.files import directory, write_tiff

    tags = [(256, 4, 4), (257, 4, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 4), (279, 4, 16)]
    data = write_tiff(np.full((4, 4), 2**bits - 1), bits)
    for kind, n_pages in ((1, 1), (4, 1), (0, 2), (2, 2)):
        whole = data[:-4] + len(data).to_bytes(4, "little") + directory([(254, 4, kind), *tags], "<", len(data))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load_image(whole)
        assert ["2 pages" in str(warning.message) for warning in caught] == [True] * (n_pages - 1)
    looped = data[:-4] + (8 + 4 * 4 * bits // 8).to_bytes(4, "little")
    assert load_image(looped).shape == (4, 4, 3)
