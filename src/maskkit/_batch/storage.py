"""Files on local disks or on any storage that fsspec knows."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem


def is_url(source: str) -> bool:
    """Tell a URL from a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.:-]*://", source) is not None


def open_storage(place: str) -> tuple[Any, str]:
    """Give the file system of a path or URL, and the path in it."""
    # What has been listed is not kept: a hundred million names would not fit.
    storage, path = fsspec.url_to_fs(place, use_listings_cache=False)
    return storage, path


def name_at(storage: Any, path: str) -> str:
    """Name a path so that it can be found without its file system: a local path as it is, else a URL."""
    return path if isinstance(storage, LocalFileSystem) else str(storage.unstrip_protocol(path))


@contextmanager
def written_whole(storage: Any, path: str) -> Iterator[Any]:
    """Open a file that appears under its name when it is whole, or not at all.

    On a local disk this is a rename, on an object store a copy.
    """
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
