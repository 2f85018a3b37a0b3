"""Formats of uploaded files, told by their first bytes."""

import base64
import re

from PIL import features

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(["AVIF"] if features.check("avif") else []))
"""Formats that the server decodes, by Pillow's names. "JPEG" includes MPO, several JPEGs in one file.

Pillow reads about 30 more. Some of their decoders are written in Python and hold the interpreter for minutes on a file
of a few kilobytes (FITS); in others a picture may be much larger than the header says (ICO, ICNS). Some builds of
Pillow lack AVIF.
"""

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
"""The same formats, for messages."""

_SIGNATURES = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("GIF", rb"GIF8[79]a"),
    ("WEBP", rb"RIFF....WEBP"),
    ("BMP", rb"BM"),
    ("TIFF", rb"II[*+]\x00|MM\x00[*+]"),
    # The major brand, or one of the compatible brands of a general container.
    ("AVIF", rb"....ftyp(?:avi[fs]|m[is]f1.{4}(?:.{4}){0,8}?avi[fs])"),
)

_CONVERT = "convert it to JPEG or PNG"
_UNSUPPORTED = (
    # Reached if Pillow cannot read it, else it is accepted.
    (rb"....ftypavi[fs]", f"is AVIF, which the server's version of Pillow does not read; {_CONVERT}"),
    (
        rb"....ftyp(?:hei[cmsx]|hev[cx]|m[is]f1)",
        "is a HEIC photo; convert it to JPEG, or let the camera take JPEG (iPhone: Settings, Camera, Formats, Most "
        "Compatible)",
    ),
    (rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI ", "is a video; send single frames as images"),
    (
        rb"\x1f\x8b|BZh\d|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|PK\x03\x04|7z\xbc\xaf|Rar!",
        "is compressed or an archive; send the image itself",
    ),
    (rb"%PDF", f"is a PDF; {_CONVERT}"),
    (rb"<(?i:\?xml|!doctype|svg|html)", f"is SVG or HTML; {_CONVERT}"),
    (rb"(?i:data:)[\w./+-]*[;,]", "is a data URL; decode the base64 text after the comma and send the bytes"),
    (rb"[\[{]\s*[\"{\[\]}]", "is JSON; send the bytes of the image instead"),
    (rb"SIMPLE  =", f"is FITS; {_CONVERT}"),
    # The number of pictures follows, which is above 0. In a TGA file, these two bytes are 0.
    (rb"\x00\x00[\x01\x02]\x00(?!\x00\x00)", f"is an ICO or CUR; {_CONVERT}"),
    (rb"icns", f"is ICNS; {_CONVERT}"),
    (rb"8BPS", f"is a PSD; {_CONVERT}"),
    (rb"\x00\x00\x00\x0c(?:jP  |JXL )|\xff\x4f\xff\x51|\xff\x0a", f"is JPEG 2000 or JPEG XL; {_CONVERT}"),
    (rb"P[1-7fF]\s", f"is PNM; {_CONVERT}"),
    (rb"DDS |qoif|%!PS|\xc5\xd0\xd3\xc6|gimp xcf|\x01\xda|FORM....", f"is of a format that is not read; {_CONVERT}"),
)
_TEXT_START = re.compile(rb"(?:\xef\xbb\xbf)?[\s\"']*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}")


def identify_format(data: bytes) -> str | None:
    """Return Pillow's name of an accepted format, or None."""
    found = (name for name, signature in _SIGNATURES if re.match(signature, data[:64], re.DOTALL))
    return next((name for name in found if name in FORMATS), None)


def describe_unsupported(data: bytes) -> str | None:
    """Return what a file is that is not of an accepted format, and what to do; None if it is unknown."""
    start = data[:512]
    text = start[_TEXT_START.match(start).end() :]  # type: ignore[union-attr]  # it matches anything
    for pattern, description in _UNSUPPORTED:
        if re.match(pattern, start, re.DOTALL) or re.match(pattern, text, re.DOTALL):
            return description
    return "is base64 text; decode it and send the bytes" if _is_base64_image(text) else None


def _is_base64_image(text: bytes) -> bool:
    found = _BASE64.match(text.replace(b"\r\n", b"").replace(b"\n", b""))
    if found is None:
        return False
    decoded = base64.b64decode(
        found[0][: len(found[0]) // 4 * 4], altchars=b"-_" if set(found[0]) & set(b"-_") else None
    )
    return identify_format(decoded) is not None or describe_unsupported(decoded) is not None
