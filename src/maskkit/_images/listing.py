"""Listing of images in folders and by patterns."""

import glob
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path, PurePath

from PIL import Image

from maskkit.exceptions import DataError

# Pillow registers the extensions of these formats, but has no decoder for them or runs an external program.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def natural_key(path: PurePath) -> tuple[list[str | int], str]:
    """Return a sort key for the natural order of names: ``face2`` before ``face10``."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


@cache
def _image_endings() -> frozenset[str]:
    endings = Image.registered_extensions()  # registers every reader, so it comes before OPEN
    return frozenset(ending for ending, form in endings.items() if form in Image.OPEN and form not in _NOT_DECODED)


def has_image_ending(path: PurePath) -> bool:
    """Return whether Pillow reads files with this extension."""
    return path.suffix.lower() in _image_endings()


def is_visible(path: PurePath) -> bool:
    """Return whether a file is neither hidden nor metadata that macOS adds to ZIP files."""
    return not path.name.startswith(".") and path.name != "__MACOSX"


def _list_visible(folder: Path) -> list[Path]:
    return sorted(filter(is_visible, folder.iterdir()), key=natural_key)


def list_images(folder: Path) -> list[Path]:
    """List the images in a folder, without its subfolders, in natural order."""
    return [path for path in _list_visible(folder) if has_image_ending(path) and path.is_file()]


def list_folders(folder: Path) -> list[Path]:
    """List the subfolders of a folder in natural order."""
    return [path for path in _list_visible(folder) if path.is_dir()]


def find_images_below(folder: Path) -> list[Path]:
    """List the images of a folder and of all its subfolders, in natural order, a folder before its subfolders."""
    return list(_find_below(folder, set()))


def _find_below(folder: Path, seen: set[Path]) -> Iterator[Path]:
    # A link to a parent folder would lead to an endless loop.
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    yield from list_images(folder)
    for inner in list_folders(folder):
        yield from _find_below(inner, seen)


def find_images_of(source: str) -> Iterator[Path]:
    """Iterate over the images of a file, a folder with its subfolders, or a pattern.

    At most the names of the largest folder, or of all matches, are held in memory. A file need not exist.

    Raises DataError if a folder contains no image, or a pattern matches nothing.
    """
    path = Path(source)
    if path.is_dir():
        images = _find_below(path, set())
        first = next(images, None)
        if first is None:
            raise DataError(f"{source}: contains no images; pass files or another folder.")
        yield from chain([first], images)
    # The name of an existing file may contain brackets or stars.
    elif not path.exists() and glob.has_magic(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise DataError(f"{source}: matches no file; check the pattern.")
        yield from map(Path, matches)
    else:
        yield path
