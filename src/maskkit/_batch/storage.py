"""Files on local disks or in any storage that fsspec supports."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem


def is_url(source: str) -> bool:
    """Return whether a source is a URL and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.:-]*://", source) is not None


def open_storage(source: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it."""
    # Listings are not cached: a hundred million names would not fit in memory.
    storage, path = fsspec.url_to_fs(source, use_listings_cache=False)
    return storage, path


def full_name(storage: Any, path: str) -> str:
    """Return the name of a file with its file system: a local path as it is, otherwise a URL."""
    return path if isinstance(storage, LocalFileSystem) else str(storage.unstrip_protocol(path))


@contextmanager
def write_atomically(storage: Any, path: str) -> Iterator[Any]:
    """Open a file that appears under its name complete, or not at all: by a rename, or a copy on object stores."""
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{uuid4().hex[:8]}"
    try:
        with storage.open(temporary, "wb") as file:
            yield file
        storage.mv(temporary, path)
    except BaseException:
        with suppress(OSError):
            storage.rm_file(temporary)
        raise
