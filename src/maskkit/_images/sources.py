"""Opening of the paths, bytes and streams that hold image files."""

import io
import os
import re
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from maskkit._text import check_path, hide_secrets
from maskkit.exceptions import ImageError

# Images are decoded in several threads, and two of them may be given the same open file or picture.
SOURCE_LOCK = threading.Lock()

# No path is longer, so a longer text was not meant as one.
_MAX_PATH = 4096
_MAX_REASON = 300

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
# The first letters of JPEG, PNG, GIF, WebP, TIFF (two byte orders), BMP, AVIF and HEIC files in base64.
_BASE64_STARTS = ("/9j/", "iVBOR", "R0lGOD", "UklGR", "SUkqA", "TU0AK", "Qk", "AAAAGGZ0", "AAAAHGZ0", "AAAAIGZ0")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s_-]{200,}")


class DeferredImage(ABC):
    """An image that is made whenever it is read."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the image for messages."""

    @abstractmethod
    def read_image(self) -> Any:
        """Return the image as uint8 (H, W, 3)."""


@contextmanager
def open_file(source: Any, name: str) -> Iterator[BinaryIO]:
    """Open an image file given as a path, bytes or a binary stream; the position of a stream is restored."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_not_text(bytes(source[:1000]).decode("latin-1"), len(source), name)
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        check_path(source, ImageError)
        path = _check_path(os.fspath(source), name)
        with open(path, "rb") as file:
            yield file
    elif hasattr(source, "read"):
        yield io.BytesIO(read_stream(source, name))
    else:
        hint = "is an annotated photo; pass its path to predict_photos, or it to evaluate. As a face crop, "
        raise ImageError(
            f"{name}: {hint if hasattr(source, 'boxes_xyxy') else 'is not an image; '}"
            "want a path, bytes, a binary file, a PIL image or a uint8 array of shape (H, W, 3) or (H, W)."
        )


def shorten(text: str, length: int) -> str:
    """Return the beginning and the length of a text that has more than so many letters."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text):,} letters)"


def shorten_path(path: str) -> str:
    """Return a path for messages; of a text that is too long to be one, the beginning."""
    path = hide_secrets(path) if _URL.match(path) else path
    return path if len(path) <= _MAX_PATH else shorten(path, 60)


def shorten_reason(exc: BaseException) -> str:
    """Return the message of an exception on one line, shortened."""
    return shorten(" ".join(str(exc).split()), _MAX_REASON) or type(exc).__name__


def check_no_url(path: str, name: str, error: type[Exception]) -> None:
    """Raise `error` if a path is a URL."""
    if _URL.match(path):
        if path.lower().startswith("file:"):
            raise error(f"{name}: is a URL; pass the path of the file, without file://.")
        raise error(f"{name}: is a URL, and prediction uses no network; download it and pass the file.")


def _check_path(path: str | bytes, name: str) -> str | bytes:
    if isinstance(path, str):
        check_no_url(path, name, ImageError)
        if not path:
            raise ImageError("'': is an empty path; pass the path of an image file.")
        if not os.path.lexists(path):
            _check_not_text(path[:1000], len(path), name)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as exc:
        reason = "no such file; check the path."
        if os.path.islink(path):
            target = os.readlink(os.fsdecode(path))
            reason = f"is a link to {target}, which does not exist; correct or remove the link."
        raise ImageError(f"{name}: {reason}") from exc
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name}: {_explain_folder(path)}")
    if not stat.S_ISREG(mode):  # A pipe may block forever, and a device may never end.
        raise ImageError(f"{name}: is a pipe, socket or device, not a file; read it and pass the bytes.")
    return path


def _explain_folder(path: str | bytes) -> str:
    # The listing of images names a folder that it cannot read in place of its images.
    try:
        os.scandir(path).close()
    except OSError as exc:
        return f"is a folder that cannot be read ({exc.strerror}); check its permissions."
    return "is a folder; list the image files in it."


def _check_not_text(text: str, length: int, name: str) -> None:
    """Raise ImageError if an image is given as base64 text or as a data URL."""
    is_url = _DATA_URL.match(text) is not None
    if is_url or (text.startswith(_BASE64_STARTS) and _BASE64.fullmatch(text)):
        what = "a data URL" if is_url else "base64 text"
        beginning = name if len(name) <= 60 else f"{name[:60]}..."
        raise ImageError(f"{beginning}: is {what} ({length:,} letters); decode it and pass the bytes.")


def can_rewind(stream: Any) -> bool:
    """Return whether a stream can be read again, which pipes, sockets and HTTP responses cannot."""
    try:
        return bool(stream.seekable())
    except AttributeError:
        return hasattr(stream, "seek") and hasattr(stream, "tell")


def keep_readable(source: Any) -> Any:
    """Return a source that can be read several times: the bytes of a stream that cannot seek, else the source itself.

    An error is left to the reading of the image, which knows its name.
    """
    if not hasattr(source, "read") or isinstance(source, os.PathLike) or can_rewind(source):
        return source
    with SOURCE_LOCK:
        data = source.read()
    return data if isinstance(data, bytes) else source


def read_stream(stream: Any, name: str) -> bytes:
    """Return the rest of a binary stream; its position is restored if it can seek."""
    with SOURCE_LOCK:
        start = stream.tell() if can_rewind(stream) else None
        try:
            data = stream.read()
        finally:
            if start is not None:
                stream.seek(start)
    if isinstance(data, str):
        raise ImageError(f"{name}: is a text file; open it in binary mode, open(path, 'rb').")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f"{name}: its read() returned {type(data).__name__}; want bytes.")
    return bytes(data)
