"""Listing of images in folders and by patterns.

Everything that is an image by its extension or by its first bytes is listed, and so is what may be one but cannot be
read: a link to nothing, a file or folder without permission. Loading it raises `ImageError` with its name, so that no
image is lost without a word.
"""

import glob
import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path, PurePath

from maskkit._images.formats import HEAD_BYTES, has_image_ending, is_image_head, may_be_image
from maskkit.exceptions import DataError


def natural_key(path: PurePath) -> tuple[list[str | int], str]:
    """Return a sort key for the natural order of names: ``face2`` before ``face10``."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


def natural_path_key(path: PurePath) -> list[tuple[list[str | int], str]]:
    """Return a sort key for the natural order of paths, folder by folder."""
    return [natural_key(PurePath(part)) for part in path.parts]


def is_visible(path: PurePath) -> bool:
    """Return whether a file is neither hidden nor metadata that macOS adds to ZIP files."""
    return not path.name.startswith(".") and path.name != "__MACOSX"


def is_image(path: Path) -> bool:
    """Return whether a file is an image, or may be one but cannot be read."""
    if has_image_ending(path):
        return True
    try:
        # Opening a pipe would block.
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return is_image_head(file.read(HEAD_BYTES))
    except OSError:
        return may_be_image(path)


def list_images(folder: Path) -> list[Path]:
    """List the images in a folder, without its subfolders, in natural order.

    A folder that cannot be read is the only item of its list.
    """
    try:
        return [path for path in _scan(folder)[0] if is_visible(path) and is_image(path)]
    except OSError:
        return [folder]


def list_folders(folder: Path) -> list[Path]:
    """List the subfolders of a folder in natural order; none if the folder cannot be read."""
    try:
        return [path for path in _scan(folder)[1] if is_visible(path)]
    except OSError:
        return []


def check_listable(folder: Path) -> None:
    """Raise DataError if a folder cannot be read."""
    try:
        os.scandir(folder).close()
    except OSError as exc:
        raise DataError(f"{folder}: cannot be read ({exc.strerror}); check its permissions.") from exc


def find_images_below(folder: Path) -> list[Path]:
    """List the images of a folder and of all its subfolders, in natural order, a folder before its subfolders.

    A subfolder that cannot be read is listed in place of its images.
    """
    return list(_find_below(folder))


def find_images_of(source: str) -> Iterator[Path]:
    """Iterate over the images of a file, a folder with its subfolders, or a pattern.

    A file need not exist, and is listed whatever it is. At most the names of the largest folder, or of all matches,
    are held in memory.

    Raises DataError if a folder contains no image, or a pattern matches none.
    """
    if os.path.isdir(source):
        images = _find_below(Path(source))
        first = next(images, None)
        if first is None:
            raise DataError(f"{source}: contains no images; pass files or another folder.")
        yield from chain([first], images)
    # The name of an existing file may contain brackets or stars.
    elif glob.has_magic(source) and not os.path.lexists(source):
        yield from _find_matches(source)
    else:
        yield Path(source)


def _scan(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return everything in a folder that is no folder, and its subfolders, in natural order; links are followed."""
    files: list[Path] = []
    folders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            (folders if _is_folder(entry) else files).append(folder / entry.name)
    return sorted(files, key=natural_key), sorted(folders, key=natural_key)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for example a link to itself
        return False


def _find_below(folder: Path) -> Iterator[Path]:
    for inner in _walk(folder):
        yield from list_images(inner)


def _walk(folder: Path) -> Iterator[Path]:
    """Iterate over a folder and the folders below it; each is visited once, also if several links lead to it."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        inner = waiting.pop()
        # A link to a parent folder would lead to an endless loop.
        status = os.stat(inner)
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield inner
            waiting += reversed(list_folders(inner))


def _find_matches(pattern: str) -> Iterator[Path]:
    parts = list(Path(pattern).parts)
    if pattern.endswith(("/", os.sep)):
        parts.append("**")  # Folders are searched with their subfolders, as if they had been passed.
    seen = set()
    for path in _expand(Path(), parts):
        if path not in seen:
            yield path
        seen.add(path)
    if not seen:
        raise DataError(_explain_no_match(pattern))


def _expand(folder: Path, parts: list[str]) -> Iterator[Path]:
    """Iterate over the images that match a pattern below a folder, as `glob.glob` does, but in natural order.

    Unlike `glob.glob`, it yields folders that cannot be read.
    """
    part, *rest = parts
    if part == "**":
        for inner in _walk(folder):
            yield from _expand(inner, rest) if rest else list_images(inner)
    elif not glob.has_magic(part):
        yield from _expand_name(folder / part, rest)
    else:
        try:
            files, folders = _scan(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            yield folder
            return
        matches = [path for path in (folders if rest else files) if fnmatch(path.name, part)]
        if not part.startswith("."):
            matches = list(filter(is_visible, matches))
        for path in matches:
            if rest:
                yield from _expand(path, rest)
            elif is_image(path):
                yield path


def _expand_name(path: Path, rest: list[str]) -> Iterator[Path]:
    """Continue `_expand` with a file or folder whose name is not a pattern."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield path
        return
    if rest:
        yield from _expand(path, rest)
    elif not os.path.isdir(path):
        yield path


def _explain_no_match(pattern: str) -> str:
    if next(glob.iglob(pattern, recursive=True), None) is not None:
        return f"{pattern}: matches no image, only folders or other files; pass the folders, or add /*."
    hint = ""
    if "[" in pattern:
        literal = pattern.replace("[", "[[]")
        hint = f" Brackets stand for one of the letters in them; write [[] for a bracket in a name: '{literal}'."
    else:
        either = "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in pattern)
        if similar := next(glob.iglob(either, recursive=True), None):
            hint = f" Upper and lower case differ: there is {similar}."
    return f"{pattern}: matches no file; check the pattern.{hint}"
