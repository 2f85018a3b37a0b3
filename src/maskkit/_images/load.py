"""Whatever a user calls an image becomes RGB uint8 (H, W, 3), upright."""

import hashlib
import io
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from maskkit.exceptions import ImageError

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]
)
"""What the library takes for an image."""

RgbImage: TypeAlias = NDArray[np.uint8]
"""Shape (H, W, 3), uint8, RGB, upright."""

# The same file or picture may be given twice, and images are decoded in several threads.
_TURNS = threading.Lock()

# Pillow hands PostScript to an interpreter if there is one, which is no way to treat anybody's files.
_FORMATS = sorted(set(Image.registered_extensions().values()) & set(Image.OPEN) - {"EPS"})

WANTED = "want a path, bytes, a binary file, a PIL image or a uint8 array of shape (H, W, 3) or (H, W)"


def load_image(
    source: ImageSource, *, name: str | None = None, min_px: int | None = None, max_px: int | None = None
) -> RgbImage:
    """Read one image in any form.

    Parameters
    ----------
    source : str, Path, bytes, binary file, PIL image or ndarray
        Files are decoded by Pillow: the EXIF orientation is applied (if it can be read), transparent pixels are laid on
        white, 16-bit grey is scaled to 8 bits, the first frame of an animation is taken. An array
        is (H, W, 3) RGB or (H, W) grey, uint8, and taken to be upright. A binary file is read from
        its current position and put back there.
    name : str, optional
        What an error calls the image; by default its path or form.
    min_px : int, optional
        A JPEG of twice that many pixels on each side, or more, may come smaller, yet not smaller than
        that: decoding at half the size, a quarter or an eighth takes a fraction of the time.
    max_px : int, optional
        A file of more pixels than that, all counted, is refused before it is decoded.

    Returns
    -------
    image : ndarray of shape (H, W, 3), uint8
        RGB, range 0 to 255.

    Raises
    ------
    ImageError
        If there is no image to be had; the message names it.
    """
    name = name or name_source(source)
    if isinstance(source, np.ndarray):
        return _check_array(source, name)
    try:
        with _open(source, name) as picture:
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
    except UnidentifiedImageError as exc:  # Pillow's own words hold the address of what bytes were read from
        raise ImageError(f"{name}: cannot be read as an image (no format that Pillow knows).") from exc
    except Exception as exc:  # Pillow's decoders raise nearly anything on a broken file
        raise ImageError(f"{name}: cannot be read as an image ({exc}).") from exc


def read_content(source: ImageSource, *, name: str | None = None) -> tuple[bytes | RgbImage, str]:
    """Read an image without decoding it, where that can be, and tell it from all others.

    Returns
    -------
    content : bytes or ndarray of shape (H, W, 3), uint8
        What `load_image` takes instead of the source, with the same result.
    digest : str
        Equal for equal contents.

    Raises
    ------
    ImageError
        If it cannot be read.
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
    shape = content.shape if isinstance(content, np.ndarray) else "file"
    digest = hashlib.blake2b(content.data if isinstance(content, np.ndarray) else content, digest_size=16)
    return content, f"{digest.hexdigest()} {shape}"


def check_images(X: Any) -> list[Any]:
    """Check that X is a collection of images rather than one, and list it.

    Parameters
    ----------
    X : sequence of images
        Each as in `load_image`; a numeric array counts along its first axis.

    Returns
    -------
    sources : list of length n_images
        The images as given, none of them opened.

    Raises
    ------
    TypeError
        If X is a single image or not iterable.
    ValueError
        If X is empty.
    """
    sources = list(iterate_images(X))
    if not sources:
        raise ValueError("X is empty; want at least one image.")
    return sources


def iterate_images(X: Any) -> Iterator[Any]:
    """Check that X is a collection or a stream of images rather than one, and give its iterator.

    Raises
    ------
    TypeError
        If X is a single image or not iterable.
    """
    check_not_single(X)
    if not hasattr(X, "__iter__"):
        raise TypeError(f"X is of type {type(X).__name__}; want a list of images.")
    return iter(X)


def check_not_single(X: Any) -> None:
    """Raise TypeError if X is a single image, most of which could be taken for many."""
    is_one_array = isinstance(X, np.ndarray) and X.dtype == np.uint8 and X.ndim <= 3
    one = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    if isinstance(X, one) or is_one_array or hasattr(X, "read"):
        raise TypeError(f"X is one image ({name_source(X)}); want a list of images: [image].")


def name_source(source: Any, index: int | None = None) -> str:
    """Name an image as a user would find it again: by its path, else by its form and place."""
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


def name_sources(sources: Sequence[Any]) -> list[str]:
    """Name each image of a collection."""
    return [name_source(source, index) for index, source in enumerate(sources)]


@contextmanager
def _open(source: Any, name: str) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        with _TURNS:
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
        if not stat.S_ISREG(mode):  # a pipe may keep us waiting for ever, a device never end
            raise ImageError(f"{name}: is a pipe, socket or device, no file; read it and pass the bytes.")
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    elif hasattr(source, "read"):
        with _TURNS:
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
        raise ImageError(f"{name}: is not an image; {WANTED}.")


def _to_rgb(picture: Image.Image) -> RgbImage:
    picture = _put_upright(picture)
    if picture.mode.startswith("I"):
        return _scale_16_bit(np.asarray(picture))
    if picture.mode == "F":
        raise ValueError("its pixels are floats of unknown range; scale them to 0-255 and pass uint8")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def _put_upright(picture: Image.Image) -> Image.Image:
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # Pillow's reader of EXIF raises nearly anything; of broken EXIF no pixel depends
        return picture


def _scale_16_bit(grey: NDArray[Any]) -> RgbImage:
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError("its pixels are 32-bit integers of unknown range; scale them to 0-255 and pass uint8")
    # 65535 = 255 * 257, so this maps white to white and rounds to the nearest level.
    scaled = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)


def _check_array(array: NDArray[Any], name: str) -> RgbImage:
    if array.dtype != np.uint8:
        raise ImageError(f"{name}: want dtype uint8, range 0 to 255; scale and convert with .astype('uint8').")
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ImageError(f"{name}: want shape (H, W, 3) or (H, W); drop alpha, or move channels last.")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array)
