"""Loading of images in any form as RGB uint8 (H, W, 3), upright."""

import io
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._checks.columns import as_column
from maskkit._images.channels import to_rgb
from maskkit._images.decode import (
    check_size,
    choose_formats,
    decode,
    read_header as read_file_header,
    read_size as read_file_size,
)
from maskkit._images.hashing import hash_content
from maskkit._images.mending import mend
from maskkit._images.orientation import ImageHeader, read_orientation, turn_upright
from maskkit._images.sources import SOURCE_LOCK, DeferredImage, keep_readable, open_file, shorten_path, shorten_reason
from maskkit.exceptions import ImageError, ImageWarning

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]
)
"""Every form of image that the library accepts."""

Result = TypeVar("Result")

RgbImage: TypeAlias = NDArray[np.uint8]
"""Shape (H, W, 3), uint8, RGB, upright."""


def load_image(
    source: ImageSource,
    *,
    name: str | None = None,
    min_px: int | None = None,
    max_px: int | None = None,
    formats: Collection[str] | None = None,
) -> RgbImage:
    """Load one image.

    Files are decoded by Pillow: the orientation in EXIF or XMP data is applied, transparent pixels are composited on
    white, more than 8 bits are scaled by the range that the file gives, and only the first page is used. What is not
    certain is said by an `ImageWarning`. An array is (H, W, 3) RGB or (H, W) gray, uint8, and taken to be upright. A
    binary file is read from its current position, which is restored if the file can seek.

    `min_px` is the smallest side that is needed. A JPEG at least twice as large is decoded at 1/2, 1/4 or 1/8 of its
    size, which takes a fraction of the time. A file of more than `max_px` pixels (by default twice
    `PIL.Image.MAX_IMAGE_PIXELS`) is refused before it is decoded. `formats` are the names, as Pillow has them, of the
    formats that are read; by default all.

    Raises ImageError if the image cannot be read; the message holds `name`, by default the path or form of the source.
    """
    name = name or name_source(source)
    image, notes = read_image(source, name=name, min_px=min_px, max_px=max_px, formats=formats)
    warn_of(name, notes)
    return image


def warn_of(name: str, notes: Iterable[str]) -> None:
    """Warn of what users should know about an image, as `read_image` returns it."""
    for note in notes:
        warnings.warn(f"{name}: {note}.", ImageWarning, stacklevel=3)


def read_image(
    source: ImageSource,
    *,
    name: str,
    min_px: int | None = None,
    max_px: int | None = None,
    formats: Collection[str] | None = None,
) -> tuple[RgbImage, tuple[str, ...]]:
    """Load one image like `load_image`; return what users should know about it as texts instead of warnings."""
    allowed = choose_formats(formats)
    notes: list[str] = []
    if isinstance(source, np.ndarray):
        return _check_array(source, name), ()
    if isinstance(source, DeferredImage):
        return source.read_image(), ()
    with _image_errors(name):
        if isinstance(source, Image.Image):
            if max_px is not None:
                check_size(source.size, name, max_px, [])
            with SOURCE_LOCK:
                source.load()
            picture = turn_upright(source, read_orientation(source))
        else:
            picture = _read_file(
                source,
                name,
                lambda file: decode(file, name, formats=allowed, min_px=min_px, max_px=max_px, notes=notes),
            )
        return to_rgb(picture, notes), tuple(notes)


def _read_file(source: Any, name: str, read: Callable[[BinaryIO], Result]) -> Result:
    """Return what `read` makes of an image file, or of the mended file if it cannot be read as it is."""
    with open_file(source, name) as file:
        try:
            return read(file)
        except ImageError:
            raise
        except Exception:  # Pillow's decoders raise nearly any type on a broken file.
            file.seek(0)
            mended = mend(file.read())
            if mended is None:
                raise
    return read(io.BytesIO(mended))


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    """Raise whatever the readers raise as ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as exc:
        raise ImageError(f"{name}: no such file; check the path.") from exc
    except Image.DecompressionBombError as exc:
        raise ImageError(
            f"{name}: has more pixels than are read by default, which may be an attack; if you trust it, "
            f"pass max_px (--max-pixels on the command line) or raise PIL.Image.MAX_IMAGE_PIXELS."
        ) from exc
    except Exception as exc:  # Pillow's decoders raise nearly any type on a broken file.
        if isinstance(exc, OSError) and exc.strerror:  # the system's own error, such as a lack of permission
            raise ImageError(f"{name}: cannot be read ({exc.strerror}).") from exc
        raise ImageError(f"{name}: cannot be read as an image ({shorten_reason(exc)}).") from exc


def read_size(
    source: ImageSource, *, name: str | None = None, max_px: int | None = None, formats: Collection[str] | None = None
) -> tuple[int, int]:
    """Return width and height of an image file as stored, which may be turned, from its header alone.

    Raises ImageError, as `load_image` does.
    """
    name = name or name_source(source)
    allowed = choose_formats(formats)
    with _image_errors(name):
        return _read_file(source, name, lambda file: read_file_size(file, name, formats=allowed, max_px=max_px))


def read_header(source: ImageSource) -> ImageHeader:
    """Return the size and the orientation of an image file.

    Raises ImageError, as `load_image` does.
    """
    name = name_source(source)
    with _image_errors(name):
        return _read_file(
            source, name, lambda file: read_file_header(file, name, formats=choose_formats(), max_px=None)
        )


def read_content(source: ImageSource, *, name: str) -> tuple[bytes | RgbImage, str]:
    """Return the content of an image, not decoded where possible, and its SHA-256.

    `load_image` makes the same image of the content as of the source.
    """
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

    Raises TypeError, ValueError if X is a single image, is no column of images, or is empty.
    """
    sources = list(iterate_images(X))
    if not sources:
        raise ValueError("X is empty; want at least one image.")
    return sources


def iterate_images(X: Any) -> Iterator[Any]:
    """Return the iterator of a collection or stream of images, such as a list or the only column of a table.

    Streams that cannot be read twice are replaced by their bytes.

    Raises TypeError, ValueError if X is a single image, has no order, or has several columns.
    """
    check_not_single(X)
    return map(keep_readable, as_column(X, "X"))


def check_not_single(X: Any) -> None:
    """Raise TypeError if X is a single image; most single images could be mistaken for a sequence."""
    is_one_array = isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim <= 3
    one = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    if isinstance(X, one) or is_one_array or hasattr(X, "read"):
        raise TypeError(f"X is one image ({name_source(X)}); want a list of images: [image].")


def name_source(source: Any, index: int | None = None) -> str:
    """Return the name of an image for messages: its path, else its form and its index."""
    if isinstance(source, (str, os.PathLike)):
        return shorten_path(os.fspath(source))
    if isinstance(source, DeferredImage):
        return source.name
    if isinstance(source, np.ndarray):
        form = f"array of shape {source.shape} and dtype {source.dtype}"
    elif isinstance(source, Image.Image):
        form = f"PIL image {getattr(source, 'filename', '') or source.size}"
    elif hasattr(source, "read"):
        form = f"file {getattr(source, 'name', '') or type(source).__name__}"
    else:
        form = type(source).__name__
    return form if index is None else f"image {index} ({form})"


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
    return Image.open(file, formats=["JPEG"]).convert("RGB")
