"""Opening of the paths, bytes and streams that hold image files."""

import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from maskkit.exceptions import ImageError

# Images are decoded in several threads, and two of them may be given the same open file or picture.
SOURCE_LOCK = threading.Lock()


@contextmanager
def open_file(source: Any, name: str) -> Iterator[BinaryIO]:
    """Open an image file given as a path, bytes or a binary stream; the position of a stream is restored."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        path = _check_path(os.fspath(source), name)
        with open(path, "rb") as file:
            yield file
    elif hasattr(source, "read"):
        yield io.BytesIO(_read_stream(source, name))
    else:
        raise ImageError(
            f"{name}: is not an image; "
            "want a path, bytes, a binary file, a PIL image or a uint8 array of shape (H, W, 3) or (H, W)."
        )


def _check_path(path: str | bytes, name: str) -> str | bytes:
    if isinstance(path, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise ImageError(
            f"{name}: is a URL, and prediction uses no network; download it and pass the path or the bytes."
        )
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as exc:
        raise ImageError(f"{name}: {_explain_missing(path)}") from exc
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name}: {_explain_folder(path)}")
    if not stat.S_ISREG(mode):  # A pipe may block forever, and a device may never end.
        raise ImageError(f"{name}: is a pipe, socket or device, not a file; read it and pass the bytes.")
    return path


def _explain_missing(path: str | bytes) -> str:
    if os.path.islink(path):
        return f"is a link to {os.readlink(os.fsdecode(path))}, which does not exist; correct or remove the link."
    return "no such file; check the path."


def _explain_folder(path: str | bytes) -> str:
    # The listing of images names a folder that it cannot read in place of its images.
    try:
        os.scandir(path).close()
    except OSError as exc:
        return f"is a folder that cannot be read ({exc.strerror}); check its permissions."
    return "is a folder; list the image files in it."


def _read_stream(stream: Any, name: str) -> bytes:
    with SOURCE_LOCK:
        start = stream.tell()
        try:
            data = stream.read()
        finally:
            stream.seek(start)
    if not isinstance(data, bytes):
        raise ImageError(f"{name}: is a text file; open it in binary mode, open(path, 'rb').")
    return data
