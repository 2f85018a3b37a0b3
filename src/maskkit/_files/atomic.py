"""Atomic writing: a file or folder appears under its name complete, or not at all."""

import ctypes
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from maskkit.exceptions import ModelFileError, OutputError

# renameat2(2) of Linux; its constants are those of <fcntl.h> and <linux/fs.h>.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file of maskkit's own atomically, after making its folder, and replace an earlier one.

    Files of the user's are written by `maskkit._files.outputs`. Raises OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path.parent, content, sync=True) as new:
        new.replace(path)


@contextmanager
def temporary_file(folder: Path, content: bytes | memoryview, *, sync: bool) -> Iterator[Path]:
    """Write a hidden file with the permissions of a usual one, and yield its path; it is removed unless renamed.

    With `sync` it is on the disk.
    """
    # The name of the final file is no part of it, because it may already have the most bytes that a name can have.
    path = folder / f".maskkit-{uuid4().hex}"
    try:
        with path.open("xb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which then replaces `folder` atomically if nothing is raised.

    A process that is killed meanwhile, or a loss of power, leaves the old folder or the new one complete, and perhaps a
    hidden folder beside it. (Linux exchanges two folders in one step. Elsewhere there is a moment between two renames
    in which neither has the name.)

    Raises ModelFileError if it cannot be written.
    """
    folder = folder.resolve()  # A link stays, and what it leads to is replaced.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".maskkit-", dir=folder.parent))
        try:
            new.chmod(0o755)  # mkdtemp makes private folders, but a model need not be private.
            yield new
            for path in (*new.iterdir(), new):
                _sync(path)
            _replace(new, folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as exc:
        raise ModelFileError(f"{folder}: cannot be written ({exc.strerror or exc}).") from exc


@contextmanager
def hold_folder(lock_file: Path, name: str) -> Iterator[None]:
    """Make the folder of a lock file and hold it for one run; the system releases it when a process is killed.

    Raises OutputError with the `name` of the folder if another run holds it.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(lock_file, timeout=0).acquire()
    except Timeout as exc:
        raise OutputError(f"{name}: another run is writing to this folder; wait for it, or choose another.") from exc
    with lock:
        try:
            yield
        finally:
            # Removed while it is locked, because filelock takes no file that has lost its name. Windows refuses to
            # remove an open file, and there filelock does it.
            with suppress(OSError):
                lock_file.unlink()


def check_writable(folder: Path, kind: str, *, is_ours: Callable[[Path], bool], files: Collection[str]) -> None:
    """Check that a folder can be written, and that nothing else would be lost.

    `kind` names the folder in messages, such as ``"model"``; `is_ours` returns whether a folder that is not empty is of
    this kind; `files` are the names that such a folder may hold.

    Raises ModelFileError if the folder is something else, or cannot be made.
    """
    is_other = folder.exists() and not folder.is_dir()
    if is_other or (folder.is_dir() and any(folder.iterdir()) and not is_ours(folder)):
        raise ModelFileError(f"{folder}: exists and is not a maskkit {kind}; choose another name.")
    unexpected = sorted({path.name for path in folder.glob("*")} - set(files))
    if unexpected:
        raise ModelFileError(f"{folder}: holds {unexpected[0]} besides its {kind}, which would be lost; move it away.")
    parent = next(path for path in folder.absolute().parents if path.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as exc:
        raise ModelFileError(f"{folder}: cannot be written ({exc.strerror}); choose another place.") from exc


def is_document(file: Path, keys: Collection[str]) -> bool:
    """Return whether a file is a JSON document with these keys, so that a folder with it is one of maskkit's."""
    try:
        document = json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys() >= set(keys)


def _replace(new: Path, folder: Path) -> None:
    """Rename a folder; if the name is taken, the two folders swap names."""
    try:
        new.rename(folder)  # This succeeds if there is none, or an empty one.
    except OSError:
        if not _exchange(new, folder):
            old = new.with_name(f"{new.name}-old")
            folder.rename(old)
            new.rename(folder)
            old.rename(new)


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step; return False where the system has no such step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    return rename is not None and rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
