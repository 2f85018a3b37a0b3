"""Opening of image files with Pillow: which formats are read, and how many pixels they may have."""

import struct
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

from maskkit._images.formats import HEAD_BYTES, name_format
from maskkit._optional import require
from maskkit.exceptions import ImageError, ImageWarning, MissingLibraryError

# Pillow would pass EPS to an external PostScript interpreter, which is unsafe for unknown files.
_UNSAFE_FORMATS = {"EPS"}

# These errors of a reader mean that the file is of another format, or of a kind that the reader does not know.
_NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)

_LIMIT_LOCK = threading.Lock()
# Limits of the pictures that are being read although Pillow's own limit is lower, and Pillow's own limit.
_raised_limits: list[int] = []
_pillow_limit: int | None = None


def choose_formats(formats: Collection[str] | None = None) -> list[str]:
    """Return the names of the formats to read: those requested, else all that are safe.

    Openers that were registered after maskkit was imported are included.

    Raises ValueError if Pillow has no opener for a requested format.
    """
    Image.init()
    known = [form for form in Image.OPEN if form not in _UNSAFE_FORMATS]
    if formats is None:
        return known
    requested = [formats] if isinstance(formats, str) else list(formats)
    wanted = {form.upper() for form in requested}
    # A photo with several pictures (MPO) is opened by the reader of JPEG.
    if unknown := sorted(wanted - {*known, "MPO"}):
        raise ValueError(f"formats: {', '.join(unknown)} cannot be read; choose from {', '.join(sorted(known))}.")
    return [form for form in known if form in wanted or (form == "JPEG" and "MPO" in wanted)]


def open_picture(file: BinaryIO, name: str, formats: list[str], max_px: int | None) -> Image.Image:
    """Open an image file, and check its number of pixels; the pixels are not read yet.

    This is what `PIL.Image.open` does, without the check of the number of pixels, whose message does not name the file.
    """
    head = file.read(HEAD_BYTES)
    reasons: list[str] = []
    picture = _try_readers(file, head, formats, reasons)
    if picture is None and name_format(head) == "HEIC" and formats == choose_formats():
        _register_heif(name)
        picture = _try_readers(file, head, choose_formats(), reasons)
    if picture is None:
        raise ImageError(f"{name}: cannot be read as an image ({_describe_unknown(head, formats, reasons)}).")
    check_size(picture, name, max_px)
    return picture


def _try_readers(file: BinaryIO, head: bytes, formats: list[str], reasons: list[str]) -> Image.Image | None:
    """Return the picture of the first reader that takes a file, or None; append the reasons of those that do not."""
    for form in formats:
        factory, accept = Image.OPEN[form]
        accepted = accept is None or accept(head[:16])
        if isinstance(accepted, str):  # The library that decodes this format is missing.
            reasons.append(accepted)
        elif accepted:
            file.seek(0)
            try:
                return factory(file, "")
            except _NOT_THIS_FORMAT as exc:
                if accept is not None:
                    reasons.append(f"{form}: {exc}")
    return None


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


def check_size(picture: Image.Image, name: str, max_px: int | None) -> None:
    """Raise ImageError if a picture has more than `max_px` pixels, by default twice `PIL.Image.MAX_IMAGE_PIXELS`.

    Without `max_px`, a picture of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` causes a warning.
    """
    n_pixels = picture.width * picture.height
    has = f"{name}: has {picture.width} x {picture.height} pixels"
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
            f"if you trust it, pass max_px={n_pixels} (--max-pixels {n_pixels} on the command line)."
        )
    if n_pixels > warn_px:
        warnings.warn(
            f"{has}; reading it takes about {n_pixels * 10 / 1e9:.1f} GB of memory.", ImageWarning, stacklevel=2
        )


@contextmanager
def pillow_limit_raised(max_px: int | None) -> Iterator[None]:
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
