"""Which images a folder holds, and what its layout says of them."""

import glob
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path, PurePath

from PIL import Image

from maskkit._images.load import load_image
from maskkit._images.prefetch import prefetch_map
from maskkit.exceptions import DataError, ImageError, SkippedImageWarning

WANTED = "want split and class folders (Train/WithMask/*.png) or class folders alone (WithMask/*.png)"

# Pillow tells these by their ending but ships no decoder for them, or runs a program.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def natural_key(path: PurePath) -> tuple[list[str | int], str]:
    """Give the key that sorts by name as people do: ``face2`` before ``face10``."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


def list_images(folder: Path) -> list[Path]:
    """List the images right inside a folder in natural order, by the endings Pillow reads."""
    files = (path for path in _list_visible(folder) if has_image_ending(path))
    return [path for path in files if path.is_file()]


def has_image_ending(path: PurePath) -> bool:
    """Tell whether Pillow reads files of this ending."""
    return path.suffix.lower() in _image_endings()


def find_images_below(folder: Path) -> list[Path]:
    """List the images of a folder and of all folders below it, those of a folder before those below."""
    return list(_find_below(folder, set()))


def find_images_of(source: str) -> Iterator[Path]:
    """Find the images that a file, a folder (with all below it) or a pattern names.

    Holds no more names at once than the largest folder has, or the pattern matches.

    Raises
    ------
    DataError
        If a folder holds no image or a pattern matches nothing. Whether a file exists is not asked.
    """
    path = Path(source)
    if path.is_dir():
        images = _find_below(path, set())
        first = next(images, None)
        if first is None:
            raise DataError(f"{source}: holds no images; pass files or another folder.")
        yield from chain([first], images)
    # A file may have a name with brackets or stars in it.
    elif not path.exists() and glob.has_magic(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise DataError(f"{source}: matches no file; check the pattern.")
        yield from map(Path, matches)
    else:
        yield path


def _find_below(folder: Path, seen: set[Path]) -> Iterator[Path]:
    # A link to a folder above would lead round for ever.
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    yield from list_images(folder)
    for inner in list_folders(folder):
        yield from _find_below(inner, seen)


def is_visible(path: PurePath) -> bool:
    """Tell what is neither hidden nor what macOS packs into ZIP files beside the data."""
    return not path.name.startswith(".") and path.name != "__MACOSX"


def list_folders(folder: Path) -> list[Path]:
    """List the folders right inside a folder in natural order."""
    return [path for path in _list_visible(folder) if path.is_dir()]


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Give the folder as a Path.

    Raises
    ------
    DataError
        If it is missing or a file.
    """
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; check the path.")
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; pass the folder that holds the data.")
    return folder


def find_faces(folder: Path) -> dict[Path, dict[str, list[Path]]]:
    """Find the images of a folder of faces by split and class.

    Parameters
    ----------
    folder : Path
        A folder that exists.

    Returns
    -------
    splits : dict
        Folder of the split -> name of the class -> paths. With class folders alone the one key is
        `folder`.

    Raises
    ------
    DataError
        If the folder has neither layout, or a class holds no image.
    """
    inside = list_folders(folder)
    if not inside:
        raise DataError(f"{folder}: holds {_count(list_images(folder))} and no folder; {WANTED}.")
    splits = [path for path in inside if list_folders(path)]
    if not splits:
        return {folder: _find_classes(folder)}
    if len(splits) < len(inside):
        others = [path for path in inside if path not in splits]
        raise DataError(
            f"{folder}: mixes layouts: {_names(splits)} with class folders inside, {_names(others)} without; "
            f"{WANTED}. Move what is not a split elsewhere."
        )
    _refuse_strays(folder)
    return {split: _find_classes(split) for split in splits}


def find_unreadable(paths: Iterable[Path]) -> dict[Path, str]:
    """Decode every image; give those that fail with the reason."""
    paths = list(paths)
    return {path: why for path, why in zip(paths, prefetch_map(_why_unreadable, paths), strict=True) if why is not None}


def warn_of_skipped(skipped: Mapping[Path, str], n_all: int, what: str) -> None:
    """Warn the caller's caller, once, of all that was left out; says nothing if that is nothing."""
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {n_all} {what} cannot be read and were left out: {_names(list(skipped))}. "
            f"The first: {next(iter(skipped.values()))}",
            SkippedImageWarning,
            stacklevel=3,
        )


def _why_unreadable(path: Path) -> str | None:
    try:
        load_image(path)
    except ImageError as exc:
        return str(exc)
    return None


def _find_classes(folder: Path) -> dict[str, list[Path]]:
    _refuse_strays(folder)
    classes = {}
    for path in list_folders(folder):
        if deeper := list_folders(path):
            raise DataError(
                f"{path}: holds folders ({_names(deeper)}) where images are wanted; {WANTED}. "
                f"If the data begin further down, pass that folder, as {folder}."
            )
        classes[path.name] = list_images(path)
        if not classes[path.name]:
            raise DataError(f"{path}: holds no image; want at least one a class. Fill the folder or remove it.")
    if len(classes) < 2:
        raise DataError(f"{folder}: holds one class only, {_names(list_folders(folder))}; {WANTED}, two or more.")
    return classes


def _refuse_strays(folder: Path) -> None:
    if strays := list_images(folder):
        raise DataError(
            f"{folder}: holds {_count(strays)} ({_names(strays)}) beside folders, so of no class; "
            f"move them into a class folder or elsewhere."
        )


def _list_visible(folder: Path) -> list[Path]:
    return sorted(filter(is_visible, folder.iterdir()), key=natural_key)


@cache
def _image_endings() -> frozenset[str]:
    endings = Image.registered_extensions()  # registers every reader, so it comes before OPEN
    return frozenset(ending for ending, form in endings.items() if form in Image.OPEN and form not in _NOT_DECODED)


def _count(images: Sequence[Path]) -> str:
    return f"{len(images) or 'no'} image{'s' * (len(images) > 1)}"


def _names(paths: Sequence[Path], n_shown: int = 5) -> str:
    shown = ", ".join(path.name for path in paths[:n_shown])
    return shown if len(paths) <= n_shown else f"{shown} and {len(paths) - n_shown} more"
