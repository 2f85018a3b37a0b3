"""Reading of image files with Pillow: which formats, and how many pixels they may have."""

import math
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImagePalette, UnidentifiedImageError

from maskkit._images.formats import HEAD_BYTES, accepts, name_format
from maskkit._images.mending import lacks_detail, lacks_pixels
from maskkit._images.orientation import ImageHeader, read_orientation, turn_upright
from maskkit._images.pixel_budget import reserve_pixels
from maskkit._images.tiff import Tiff, open_tiff
from maskkit._optional import require
from maskkit.exceptions import ImageError, MissingLibraryError

# Pillow would pass EPS to an external PostScript interpreter, which is unsafe for unknown files.
_UNSAFE_FORMATS = {"EPS"}

# These errors of a reader mean that the file is of another format, or of a kind that the reader does not know.
_NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)

# Formats whose further pictures are layers, sizes or views of the first one; pages of TIFF files are counted by tags.
_NOT_PAGES = {"TIFF", "MPO", "PSD", "ICO", "ICNS", "CUR"}

# Factors by which Pillow scales the gray values of PNG files of few bits.
_GRAY_SCALES = {"L;2": 85, "L;4": 17}

_LIMIT_LOCK = threading.Lock()
# Limits of the pictures that are being read although Pillow's own limit is lower, and Pillow's own limit.
_raised_limits: list[int] = []
_pillow_limit: int | None = None
# Limit of this process for images that are read without one.
_default_max_px: int | None = None


def limit_pixels(max_px: int | None) -> None:
    """Set the largest number of pixels of the images that this process reads; None restores the default.

    A limit that is passed to `load_image` precedes it.
    """
    global _default_max_px
    _default_max_px = max_px


def choose_formats(formats: Collection[str] | None = None) -> list[str]:
    """Return the names of the formats to read: those requested, else all that are safe.

    Openers that were registered after maskkit was imported are included.

    Raises ValueError if Pillow has no opener for a requested format.
    """
    Image.init()
    # Readers of formats without a signature try to read any file, so they come last.
    openers = sorted(Image.OPEN.items(), key=lambda opener: opener[1][1] is None)
    known = [form for form, _ in openers if form not in _UNSAFE_FORMATS]
    if formats is None:
        return known
    requested = [formats] if isinstance(formats, str) else list(formats)
    wanted = {form.upper() for form in requested}
    # A photo with several pictures (MPO) is opened by the reader of JPEG.
    if unknown := sorted(wanted - {*known, "MPO"}):
        raise ValueError(f"formats: {', '.join(unknown)} cannot be read; choose from {', '.join(sorted(known))}.")
    return [form for form in known if form in wanted or (form == "JPEG" and "MPO" in wanted)]


@dataclass(frozen=True, slots=True)
class _Opened:
    """An image file of which the header was read. Without `orientation`, it is in the metadata of the picture."""

    picture: Image.Image | Tiff
    orientation: int | None = None
    n_pages: int = 1


def decode(
    file: BinaryIO, name: str, *, formats: list[str], min_px: int | None, max_px: int | None, notes: list[str]
) -> Image.Image:
    """Decode the first picture of an image file, upright; add to `notes` what the user should know about it."""
    opened = _open(file, name, formats, max_px, notes)
    picture = opened.picture
    if opened.n_pages > 1:
        notes.append(f"has {opened.n_pages} pages; only the first is used")
    if isinstance(picture, Tiff):
        reserve_pixels(picture.n_bytes // 3)
        with _pillow_limit_raised(picture.n_bytes):
            return turn_upright(picture.decode(notes), opened.orientation or 1)
    if min_px is not None:
        picture.draft(None, (min_px, min_px))
    reserve_pixels(math.prod(picture.size))
    with _pillow_limit_raised(math.prod(picture.size)):
        _adapt_transparency(picture)
        picture.load()
    if picture.format in ("JPEG", "MPO"):
        _check_complete(picture, file, notes)
    upright = turn_upright(picture, opened.orientation or read_orientation(picture))
    if getattr(picture, "is_animated", False) and picture.format not in _NOT_PAGES:
        upright = upright.copy() if upright is picture else upright
        notes.append("is an animation; only its first picture is used")
    return upright


def read_header(file: BinaryIO, name: str, *, formats: list[str], max_px: int | None) -> ImageHeader:
    """Return the size of an image file as stored, and its orientation."""
    opened = _open(file, name, formats, max_px, [])
    picture = opened.picture
    if isinstance(picture, Tiff) or opened.orientation is not None:
        return ImageHeader(picture.size, opened.orientation or 1)
    if picture.format == "PNG" and "exif" not in picture.info and _mentions_orientation(file):
        picture.load()  # A PNG file may hold its EXIF data behind the pixels.
    return ImageHeader(picture.size, read_orientation(picture))


def read_size(file: BinaryIO, name: str, *, formats: list[str], max_px: int | None) -> tuple[int, int]:
    """Return width and height of an image file as stored, from its header alone."""
    return _open(file, name, formats, max_px, []).picture.size


def _mentions_orientation(file: BinaryIO) -> bool:
    file.seek(0)
    data = file.read()
    return any(word in data for word in (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp"))


def _check_complete(picture: Image.Image, file: BinaryIO, notes: list[str]) -> None:
    """Raise ValueError if a JPEG lacks pixels; add a note if it lacks detail."""
    corner = np.atleast_1d(np.asarray(picture.getpixel((picture.width - 1, picture.height - 1))))
    file.seek(0)
    data = file.read()
    if lacks_pixels(data, corner.tolist()):
        raise ValueError("image file is truncated: the lower part is missing")
    if "progression" in picture.info and lacks_detail(data):
        notes.append("lacks its finest detail: the file is cut off, or was written so")


def _adapt_transparency(picture: Image.Image) -> None:
    """Scale the transparent color of a PNG as Pillow scales its pixels."""
    color = picture.info.get("transparency")
    tiles: Any = getattr(picture, "tile", None)
    raw_mode = tiles[0].args if picture.format == "PNG" and tiles else None
    if raw_mode in _GRAY_SCALES and isinstance(color, int):
        picture.info["transparency"] = min(255, color * _GRAY_SCALES[raw_mode])
    elif raw_mode == "RGB;16B" and isinstance(color, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in color)


def _open(file: BinaryIO, name: str, formats: list[str], max_px: int | None, notes: list[str]) -> _Opened:
    """Open an image file, without reading its pixels; raise ImageError if it has too many."""
    max_px = _default_max_px if max_px is None else max_px
    with _pillow_limit_raised(max_px):
        opened = _open_any_size(file, name, formats)
    check_size(opened.picture.size, name, max_px, notes)
    if isinstance(opened.picture, Tiff):
        # Many channels of many bits are as large as a picture of more pixels in four channels of 16 bits.
        check_size((math.ceil(opened.picture.n_bytes / 8), 1), name, max_px, [])
    return opened


def _open_any_size(file: BinaryIO, name: str, formats: list[str]) -> _Opened:
    """Open an image file, without reading its pixels.

    This is what `PIL.Image.open` does, without the check of the number of pixels, whose message does not name the file.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise UnidentifiedImageError("the file is empty")
    reasons: list[str] = []
    opened = _try_readers(file, head, formats, reasons)
    if opened is None and name_format(head) == "HEIC" and formats == choose_formats():
        _register_heif(name)
        opened = _try_readers(file, head, choose_formats(), reasons)
    if opened is None:
        raise UnidentifiedImageError(_describe_unknown(head, formats, reasons))
    return opened


def _try_readers(file: BinaryIO, head: bytes, formats: list[str], reasons: list[str]) -> _Opened | None:
    """Return the picture of the first reader that takes a file, or None; append the reasons of those that do not."""
    for form in formats:
        factory, accept = Image.OPEN[form]
        accepted = accept is None or accepts(accept, head)
        if isinstance(accepted, str):  # The library that decodes this format is missing.
            reasons.append(accepted)
        elif accepted:
            file.seek(0)
            try:
                return _open_tiff(file, factory) if form == "TIFF" else _Opened(factory(file, ""))
            except _NOT_THIS_FORMAT as exc:
                if accept is not None:
                    reasons.append(f"{form}: {exc}")
    return None


def _open_tiff(file: BinaryIO, factory: Callable[[BinaryIO, str], Image.Image]) -> _Opened:
    tiff = open_tiff(file)
    if tiff.is_deep:
        return _Opened(tiff, tiff.orientation, tiff.n_pages)
    picture = factory(tiff.without_metadata(), "")
    if picture.mode in ("P", "PA") and tiff.palette is not None:
        picture.palette = ImagePalette.raw("RGB;L", tiff.palette)
    return _Opened(picture, tiff.orientation, tiff.n_pages)


def _register_heif(name: str) -> None:
    """Register the reader of HEIC with Pillow, at the first photo that needs it; raise ImageError if it is missing."""
    try:
        require("pillow_heif", "heif").register_heif_opener()
    except MissingLibraryError as exc:
        raise ImageError(f"{name}: is a photo in HEIC, and {exc}, or convert it to JPEG.") from exc


def _describe_unknown(head: bytes, allowed: list[str], reasons: list[str]) -> str:
    """Return why no reader took a file, given its first bytes."""
    if reasons:
        return "; ".join(reasons)
    for form in set(choose_formats()) - set(allowed):
        accept = Image.OPEN[form][1]
        if accept is not None and accept(head) is True:
            return f"its format is {form}; want {', '.join(sorted(allowed))}"
    kind = name_format(head)
    if kind is None:
        return "no format that Pillow knows"
    return f"its format is {kind}, which is not read; convert it to JPEG or PNG"


def check_size(size: tuple[int, int], name: str, max_px: int | None, notes: list[str]) -> None:
    """Raise ImageError if a picture has more than `max_px` pixels, by default twice `PIL.Image.MAX_IMAGE_PIXELS`.

    Without `max_px`, a picture of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` is noted.
    """
    n_pixels = math.prod(size)
    has = f"{name}: has {size[0]} x {size[1]} pixels"
    if max_px is not None:
        if n_pixels > max_px:
            raise ImageError(f"{has}; want {max_px:,} at most.")
        return
    warn_px = _pillow_limit if _raised_limits else Image.MAX_IMAGE_PIXELS
    if warn_px is None:
        return
    if n_pixels > 2 * warn_px:
        raise ImageError(
            f"{has}, more than {2 * warn_px:,}, which may be an attack; "
            f"if you trust it, pass max_px={n_pixels} (--max-pixels {n_pixels} on the command line), or set "
            f"PIL.Image.MAX_IMAGE_PIXELS = {n_pixels} where there is no such parameter."
        )
    if n_pixels > warn_px:
        notes.append(f"has {size[0]} x {size[1]} pixels; reading it takes about {n_pixels * 10 / 1e9:.1f} GB of memory")


@contextmanager
def _pillow_limit_raised(max_px: int | None) -> Iterator[None]:
    """Keep Pillow from refusing, or warning of, a picture of up to `max_px` pixels; no effect if Pillow allows them.

    Several of Pillow's readers check the number of pixels again when they decode. Their limit is one variable of the
    process, which is put back when the last picture that needs a higher one has been read.
    """
    global _pillow_limit
    with _LIMIT_LOCK:
        current = _pillow_limit if _raised_limits else Image.MAX_IMAGE_PIXELS
        raised = [max_px] if max_px is not None and current is not None and max_px > current else []
        if raised:
            _pillow_limit = current
            _raised_limits.extend(raised)
            Image.MAX_IMAGE_PIXELS = max(_raised_limits)
    try:
        yield
    finally:
        if raised:
            with _LIMIT_LOCK:
                _raised_limits.remove(raised[0])
                Image.MAX_IMAGE_PIXELS = max(_raised_limits) if _raised_limits else _pillow_limit
