"""The guard of everything that is written for the user: no file that exists is ever replaced.

The operating system decides whether a name is taken, when the file appears. No comparison of paths could: a name may be
a link, differ in case on a file system that ignores case, or be taken by another process a moment later.
"""

import errno
import glob
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from PIL import Image

from maskkit._files.atomic import temporary_file
from maskkit._text import check_path
from maskkit.exceptions import OutputError

AnyPath = TypeVar("AnyPath", str, Path)

# Ending of the pictures that are written to a folder.
_ENDING = ".png"

# Errors of file systems without hard links, such as FAT and some network drives.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


def check_new(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to be written; raise OutputError if it is empty or exists, before work begins."""
    path = check_path(path, OutputError)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; pass the name of a file.")
    if os.path.lexists(path):
        raise OutputError(f"{path}: exists already, and no file is replaced; choose another name, or move it away.")
    _check_parents(path)
    return path


def check_output_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the path of a folder to write to; raise OutputError if it is empty or a file."""
    folder = check_path(folder, OutputError)
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; pass a folder, which is created if missing.")
    _check_parents(folder)
    return folder


def _check_parents(path: Path) -> None:
    """Raise OutputError if a folder of a path is a file, so that it could not be created."""
    parent = next(filter(os.path.lexists, path.absolute().parents), None)
    if parent is not None and not parent.is_dir():
        raise OutputError(f"{path}: cannot be created, because {parent} is a file; choose another place.")


def create_file(path: str | os.PathLike[str], content: bytes | memoryview, *, sync: bool = False) -> Path:
    """Write a new file atomically, after making its folder; return its path.

    With `sync` it is on the disk when the function returns, so that it survives a loss of power.

    Raises OutputError if the path is empty or exists, and OSError if the file cannot be written.
    """
    path = check_new(path)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path.absolute().parent, content, sync=sync) as temporary:
        try:
            _publish(temporary, path, content)
        except FileExistsError:
            check_new(path)
            raise
    return path


def create_numbered(folder: Path, contents: Mapping[tuple[str, str], bytes], *, sync: bool = False) -> list[Path]:
    """Write new files that belong together to a folder, which is created if missing; return their paths.

    `contents` maps (stem, ending) to bytes. If one of the names is taken, all stems get the same number:
    ``street-2.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in _numbers():
        paths = [folder / f"{stem}{number}{ending}" for stem, ending in contents]
        if any(map(os.path.lexists, paths)):
            continue
        written: list[Path] = []
        try:
            for path, content in zip(paths, contents.values(), strict=True):
                written.append(create_file(path, content, sync=sync))
        except OutputError:  # Another process took a name meanwhile.
            for path in written:
                path.unlink()
        else:
            return written
    raise AssertionError("numbers are endless")


def find_free(path: Path) -> Path:
    """Return a path if it is free, else the path with the first number that is: ``collage-2.png``."""
    return next(
        numbered
        for number in _numbers()
        if not os.path.lexists(numbered := path.with_name(f"{path.stem}{number}{path.suffix}"))
    )


def encode_picture(picture: Image.Image, path: str | os.PathLike[str], **options: Any) -> bytes:
    """Return a picture as a file in the format of a file extension; raise OutputError if that is unknown."""
    file = io.BytesIO()
    picture.save(file, format=check_picture_format(path), **options)
    return file.getvalue()


def save_picture(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Write a picture to a new file in the format of its extension; return the path.

    Raises OutputError if the path is empty or exists, or the extension is unknown.
    """
    return create_file(check_new(path), encode_picture(picture, path))


def check_picture_format(path: str | os.PathLike[str]) -> str:
    """Return the format of the file's extension; raise OutputError if pictures cannot be written in it."""
    form = Image.registered_extensions().get(os.path.splitext(os.fspath(path))[1].lower(), "")
    if form not in Image.SAVE:
        raise OutputError(f"{os.fspath(path)}: unknown picture format; use .png or .jpg.")
    return form


def _numbers() -> Iterator[str]:
    return chain([""], map("-{}".format, count(2)))


def _publish(temporary: Path, path: Path, content: bytes | memoryview) -> None:
    """Rename a file; raise FileExistsError if that is taken, in the same step."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise OSError(exc.errno, exc.strerror, os.fspath(path)) from exc
        with path.open("xb") as file:
            try:
                file.write(content)
            except BaseException:
                path.unlink()
                raise


def identify(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what all names of a file or folder have in common, or None if it cannot be reached."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class OutputFolders:
    """Folders that a run writes to, which are left out of its inputs.

    Otherwise a second run would read the results of the first. Only folders inside an input folder matter: an output
    folder that contains the input folder changes nothing.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str] | None]):
        self._folders = {identify(folder) for folder in folders if folder is not None} - {None}
        self._known: dict[str, bool] = {}

    def check_source(self, folder: str | os.PathLike[str]) -> None:
        """Raise OutputError if an input folder is itself an output folder."""
        if os.path.isdir(folder) and identify(folder) in self._folders:
            self._refuse(folder, folder)

    def _refuse(self, source: object, folder: str | os.PathLike[str]) -> NoReturn:
        raise OutputError(
            f"{source}: is the input folder and the output folder, so that a second run would read the results as "
            f"photos; choose another output folder, such as {Path(folder, 'results')}."
        )

    def drop(self, folders: Iterable[Path]) -> list[Path]:
        """Return the folders that are no output folders."""
        return [folder for folder in folders if not self._folders or identify(folder) not in self._folders]

    def leave_out(self, paths: Iterable[AnyPath], source: str | os.PathLike[str]) -> Iterator[AnyPath]:
        """Iterate over the paths found in a source, a folder or pattern, that are not inside an output folder.

        Raises OutputError if a pattern matches pictures in the output folder, which may be results.
        """
        # The folder of a pattern ends before its first wildcard.
        is_file = os.path.exists(source)
        parts = tuple(takewhile(lambda part: is_file or not glob.has_magic(part), Path(source).parts))
        around = {identify(folder) for folder in _with_parents(os.path.abspath(Path(*parts)))}
        inner = self._folders - around
        is_pattern = parts != Path(source).parts
        for path in paths:
            folder = os.path.dirname(path) or os.curdir
            if is_pattern and os.fspath(path).lower().endswith(_ENDING) and identify(folder) in self._folders & around:
                self._refuse(source, folder)
            if not (inner and self._is_inside(folder, inner)):
                yield path

    def _is_inside(self, folder: str, inner: Set[tuple[int, int] | None]) -> bool:
        folder = os.path.abspath(folder)
        if folder not in self._known:
            self._known[folder] = any(identify(place) in inner for place in _with_parents(folder))
        return self._known[folder]


def _with_parents(folder: str) -> list[str]:
    return [folder, *map(os.fspath, Path(folder).parents)]
