"""Identification of images by the first bytes and by the names of files."""

import io
import mimetypes
import re
import struct
from collections.abc import Callable
from pathlib import PurePath

from PIL import Image

HEAD_BYTES = 4096
"""Number of bytes from the start of a file that `is_image_head` needs."""

# Pillow registers these formats, but has no decoder for them or runs an external program.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}

# These are images whether or not Pillow, as it is installed here, reads them.
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "Photoshop": rb"8BPS\0",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG XR": rb"II\xbc\x01",
    "FITS": rb"SIMPLE  =",
    "camera raw": rb"FUJIFILMCCD-RAW|II(?:RO|RS|U\0)|.{4}ftypcrx ",
    # The major brand may be a general one, so the compatible brands, which follow, are read too.
    "AVIF": rb".{4}ftyp(?:.{4})*?avi[fs]",
    "HEIC": rb".{4}ftyp(?:.{4})*?(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
}
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _SIGNATURES.items()}

# Photos of phones and cameras that Pillow has an opener for only if a library registers one.
_ENDINGS = {".avif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jp2", ".jxl", ".webp"}

# The types that Python knows, without those of the machine, so that every machine lists the same files.
_TYPES = mimetypes.MimeTypes()


def name_format(head: bytes) -> str | None:
    """Return the name of a common image format, given the first bytes of a file; None for any other file."""
    # The box of the brands, which is short, starts with its size.
    head = head[: int.from_bytes(head[:4], "big")] if head[4:8] == b"ftyp" else head
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), None)


def is_image_head(head: bytes) -> bool:
    """Return whether a file is an image, given its first `HEAD_BYTES` bytes.

    An image is what has the signature of a common format, or a header that Pillow reads. Openers that are registered
    later, for example by pillow-heif, count.
    """
    return name_format(head) is not None or _opens(head)


def _opens(head: bytes) -> bool:
    """Return whether an opener of Pillow recognizes the signature of a file and reads its header."""
    Image.init()
    accepted = {form: accepts(accept, head) for form, (_, accept) in Image.OPEN.items() if form not in _NOT_DECODED}
    if any(isinstance(answer, str) for answer in accepted.values()):  # the library that decodes the format is missing
        return True
    # The first letters of many texts are those of an image too, such as "BM" or "P1", so the header is read.
    forms = [form for form, answer in accepted.items() if answer]
    try:
        with Image.open(io.BytesIO(head), formats=forms):
            return True
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True
    except Exception:  # Pillow raises many kinds of errors on what is not an image
        return False


def accepts(accept: Callable[[bytes], bool | str] | None, head: bytes) -> bool | str:
    """Return what the test of one of Pillow's readers says about the first bytes of a file; a text is a refusal."""
    # Formats without a signature, such as TGA, would take nearly any file.
    try:
        return accept is not None and accept(head[:16])
    except (IndexError, struct.error):  # the file is too short
        return False


def has_image_ending(path: PurePath) -> bool:
    """Return whether files with this extension are images."""
    ending = path.suffix.lower()
    form = Image.registered_extensions().get(ending)
    return ending in _ENDINGS or (form in Image.OPEN and form not in _NOT_DECODED)


def may_be_image(path: PurePath) -> bool:
    """Return whether a file whose content cannot be read may be an image, by its name."""
    guess, _ = _TYPES.guess_type(f"_{path.suffix}")
    return has_image_ending(path) or guess is None or guess.startswith("image/")
