"""Loading of images in any form as RGB uint8 (H, W, 3), upright."""

import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from maskkit._images.hashing import hash_content
from maskkit.exceptions import ImageError

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]
)
"""Every form of image that the library accepts."""

RgbImage: TypeAlias = NDArray[np.uint8]
"""Shape (H, W, 3), uint8, RGB, upright."""

# Images are decoded in several threads, and two of them may be given the same open file or picture.
_SOURCE_LOCK = threading.Lock()

# EPS is left out: Pillow would pass the file to an external PostScript interpreter, which is unsafe for unknown files.
_FORMATS = sorted(set(Image.registered_extensions().values()) & set(Image.OPEN) - {"EPS"})


def load_image(
    source: ImageSource, *, name: str | None = None, min_px: int | None = None, max_px: int | None = None
) -> RgbImage:
    """Load one image.

    Files are decoded by Pillow: the EXIF orientation is applied (if it can be read), transparent pixels are composited
    on white, 16-bit gray is scaled to 8 bits, and only the first frame of an animation is used. An array is (H, W, 3)
    RGB or (H, W) gray, uint8, and taken to be upright. A binary file is read from its current position, which is
    restored.

    `min_px` is the smallest side that is needed. A JPEG at least twice as large is decoded at 1/2, 1/4 or 1/8 of its
    size, which takes a fraction of the time. A file of more than `max_px` pixels is refused before it is decoded.

    Raises ImageError if the image cannot be read; the message holds `name`, by default the path or form of the source.
    """
    name = name or name_source(source)
    if isinstance(source, np.ndarray):
        return _check_array(source, name)
    try:
        with _open_picture(source, name) as picture:
            if max_px is not None and picture.width * picture.height > max_px:
                raise ImageError(f"{name}: has {picture.width} x {picture.height} pixels; want {max_px:,} at most.")
            if min_px is not None and not isinstance(source, Image.Image):
                picture.draft(None, (min_px, min_px))
            return _to_rgb(picture)
    except ImageError:
        raise
    except FileNotFoundError as exc:
        raise ImageError(f"{name}: no such file; check the path.") from exc
    except Image.DecompressionBombError as exc:
        raise ImageError(
            f"{name}: has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, which may be an attack; "
            f"shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from exc
    except UnidentifiedImageError as exc:  # Pillow's own message holds a memory address.
        raise ImageError(f"{name}: cannot be read as an image (no format that Pillow knows).") from exc
    except Exception as exc:  # Pillow's decoders raise nearly any type on a broken file.
        raise ImageError(f"{name}: cannot be read as an image ({exc}).") from exc


def read_content(source: ImageSource, *, name: str | None = None) -> tuple[bytes | RgbImage, str]:
    """Return the content of an image, not decoded where possible, and its SHA-256.

    `load_image` makes the same image of the content as of the source.
    """
    name = name or name_source(source)
    content: bytes | RgbImage
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
        try:
            content = Path(source).read_bytes()
        except OSError as exc:
            raise ImageError(f"{name}: cannot be read ({exc.strerror}).") from exc
    else:
        content = load_image(source, name=name)
    return content, hash_content(content)


def check_images(X: Any) -> list[Any]:
    """Check that X is a collection of images, not a single one, and return it as a list.

    Raises TypeError if X is a single image or not iterable; ValueError if X is empty.
    """
    sources = list(iterate_images(X))
    if not sources:
        raise ValueError("X is empty; want at least one image.")
    return sources


def iterate_images(X: Any) -> Iterator[Any]:
    """Return the iterator of a collection or stream of images; raise TypeError if X is a single image."""
    check_not_single(X)
    if not hasattr(X, "__iter__"):
        raise TypeError(f"X is of type {type(X).__name__}; want a list of images.")
    return iter(X)


def check_not_single(X: Any) -> None:
    """Raise TypeError if X is a single image; most single images could be mistaken for a sequence."""
    is_one_array = isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim <= 3
    one = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    if isinstance(X, one) or is_one_array or hasattr(X, "read"):
        raise TypeError(f"X is one image ({name_source(X)}); want a list of images: [image].")


def name_source(source: Any, index: int | None = None) -> str:
    """Return the name of an image for messages: its path, else its form and its index."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, np.ndarray):
        form = f"array of shape {source.shape} and dtype {source.dtype}"
    elif isinstance(source, Image.Image):
        form = f"PIL image {getattr(source, 'filename', '') or source.size}"
    elif hasattr(source, "read"):
        form = f"file {getattr(source, 'name', '') or type(source).__name__}"
    else:
        form = type(source).__name__
    return form if index is None else f"image {index} ({form})"


@contextmanager
def _open_picture(source: Any, name: str) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        with _SOURCE_LOCK:
            source.load()
        yield source
    elif isinstance(source, (bytes, bytearray, memoryview)):
        with Image.open(io.BytesIO(source), formats=_FORMATS) as picture:
            yield picture
    elif isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if isinstance(path, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
            raise ImageError(
                f"{name}: is a URL, and prediction uses no network; download it and pass the path or the bytes."
            )
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{name}: is a folder; list the image files in it.")
        if not stat.S_ISREG(mode):  # A pipe may block forever, and a device may never end.
            raise ImageError(f"{name}: is a pipe, socket or device, not a file; read it and pass the bytes.")
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    elif hasattr(source, "read"):
        with _SOURCE_LOCK:
            start = source.tell()
            try:
                data = source.read()
            finally:
                source.seek(start)
        if not isinstance(data, bytes):
            raise ImageError(f"{name}: is a text file; open it in binary mode, open(path, 'rb').")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            yield picture
    else:
        raise ImageError(
            f"{name}: is not an image; "
            "want a path, bytes, a binary file, a PIL image or a uint8 array of shape (H, W, 3) or (H, W)."
        )


def _to_rgb(picture: Image.Image) -> RgbImage:
    picture = _transpose_exif(picture)
    if picture.mode.startswith("I"):
        return _scale_16_bit(np.asarray(picture))
    if picture.mode == "F":
        raise ValueError("its pixels are floats of unknown range; scale them to 0-255 and pass uint8")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def _transpose_exif(picture: Image.Image) -> Image.Image:
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # Pillow's EXIF reader raises nearly any type; the pixels do not depend on EXIF
        return picture


def _scale_16_bit(gray: NDArray[Any]) -> RgbImage:
    if gray.min() < 0 or gray.max() > 65535:
        raise ValueError("its pixels are 32-bit integers of unknown range; scale them to 0-255 and pass uint8")
    # 65535 = 255 * 257, so this maps white to white and rounds to the nearest level.
    scaled = ((gray.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)


def _check_array(array: NDArray[Any], name: str) -> RgbImage:
    if array.dtype != np.uint8:
        raise ImageError(f"{name}: want dtype uint8, range 0 to 255; scale and convert with .astype('uint8').")
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ImageError(f"{name}: want shape (H, W, 3) or (H, W); drop alpha, or move channels last.")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array)


def compress_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Return an RGB picture after JPEG compression; `quality` is Pillow's, 1 to 95."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
