"""Folders that appear under their name whole, or not at all."""

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from maskkit.exceptions import ModelFileError

# renameat2(2) of Linux; its constants are those of <fcntl.h> and <linux/fs.h>.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_place(folder: Path, kind: str, *, is_ours: Callable[[Path], bool], files: Collection[str]) -> None:
    """Check that a folder can be written under a name, without loss of what is there.

    Parameters
    ----------
    folder : Path
    kind : str
        Of folder, such as ``"model"``.
    is_ours : callable
        Tells whether a folder that holds something is of this kind.
    files : collection of str
        Names that such a folder may hold.

    Raises
    ------
    ModelFileError
        If the folder is something else, or cannot be made.
    """
    if folder.is_file() or (folder.exists() and any(folder.iterdir()) and not is_ours(folder)):
        raise ModelFileError(f"{folder}: exists and is no {kind} of maskkit; choose another name.")
    strangers = sorted({path.name for path in folder.glob("*")} - set(files))
    if strangers:
        raise ModelFileError(f"{folder}: holds {strangers[0]} besides its {kind}, which would be lost; move it away.")
    parent = next(path for path in folder.absolute().parents if path.exists())
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as exc:
        raise ModelFileError(f"{folder}: cannot be written ({exc.strerror}); choose another place.") from exc


@contextmanager
def write_whole(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the name and place of `folder` if nothing is raised.

    Whoever is killed meanwhile, or loses power, leaves the old folder or the new one, whole; and perhaps a
    hidden folder beside it. (Where the system cannot exchange two folders, which Linux can, there is a
    moment between two renames when neither has the name.)

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            new.chmod(0o755)  # mkdtemp's folders are private; a model need not be
            yield new
            for path in (*new.iterdir(), new):
                _flush(path)
            _put(new, folder)
            _flush(folder.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as exc:
        raise ModelFileError(f"{folder}: cannot be written ({exc.strerror or exc}).") from exc


def _put(new: Path, folder: Path) -> None:
    """Give a folder another's name; what had it, if anything, then has the first one's."""
    try:
        new.rename(folder)  # which is enough if there is none, or an empty one
    except OSError:
        if not _exchange(new, folder):
            old = new.with_name(f"{new.name}-old")
            folder.rename(old)
            new.rename(folder)
            old.rename(new)


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step; False where the system has no such step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    return rename is not None and rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
