"""Images in folders, and the layouts of folders of face crops."""

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

_LAYOUTS = "want split and class folders (Train/WithMask/*.png) or class folders alone (WithMask/*.png)"

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

    Raises
    ------
    DataError
        If a folder contains no image, or a pattern matches nothing.
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


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder as a Path; raise DataError if it is missing or a file."""
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; check the path.")
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; pass the folder that contains the data.")
    return folder


def check_on_error(on_error: str) -> None:
    """Raise ValueError if `on_error` is neither ``"raise"`` nor ``"skip"``."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} is unknown; use 'raise' or 'skip'.")


def find_faces(folder: Path) -> dict[Path, dict[str, list[Path]]]:
    """Find the images of a folder of face crops: folder of the split -> name of the class -> paths.

    Class folders alone are one split, whose key is `folder` itself.

    Raises
    ------
    DataError
        If the folder has neither layout, or a class contains no image.
    """
    inside = list_folders(folder)
    if not inside:
        raise DataError(f"{folder}: contains {_count(list_images(folder))} and no folder; {_LAYOUTS}.")
    splits = [path for path in inside if list_folders(path)]
    if not splits:
        return {folder: _find_classes(folder)}
    if len(splits) < len(inside):
        others = [path for path in inside if path not in splits]
        raise DataError(
            f"{folder}: mixes layouts: {_names(splits)} with class folders inside, {_names(others)} without; "
            f"{_LAYOUTS}. Move other folders elsewhere."
        )
    _check_no_images(folder)
    return {split: _find_classes(split) for split in splits}


def _find_classes(folder: Path) -> dict[str, list[Path]]:
    _check_no_images(folder)
    classes = {}
    for path in list_folders(folder):
        if deeper := list_folders(path):
            raise DataError(
                f"{path}: contains folders ({_names(deeper)}) instead of images; {_LAYOUTS}. "
                f"If the data are in a subfolder, pass that folder, such as {folder}."
            )
        classes[path.name] = list_images(path)
        if not classes[path.name]:
            raise DataError(f"{path}: contains no image; want at least one per class. Fill the folder or remove it.")
    if len(classes) < 2:
        raise DataError(f"{folder}: contains only one class, {_names(list_folders(folder))}; {_LAYOUTS}, two or more.")
    return classes


def _check_no_images(folder: Path) -> None:
    if images := list_images(folder):
        raise DataError(
            f"{folder}: contains {_count(images)} ({_names(images)}) beside folders, so without a class; "
            f"move them into a class folder or elsewhere."
        )


def find_unreadable(paths: Iterable[Path]) -> dict[Path, str]:
    """Decode every image; return those that fail, with the reason."""
    paths = list(paths)
    errors = prefetch_map(_read_error, paths)
    return {path: error for path, error in zip(paths, errors, strict=True) if error is not None}


def _read_error(path: Path) -> str | None:
    try:
        load_image(path)
    except ImageError as exc:
        return str(exc)
    return None


def warn_of_skipped(skipped: Mapping[Path, str], n_all: int, kind: str) -> None:
    """Warn the caller's caller once of all files that were left out, if there are any."""
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {n_all} {kind} cannot be read and were left out: {_names(list(skipped))}. "
            f"The first: {next(iter(skipped.values()))}",
            SkippedImageWarning,
            stacklevel=3,
        )


def _count(images: Sequence[Path]) -> str:
    return "1 image" if len(images) == 1 else f"{len(images) or 'no'} images"


def _names(paths: Sequence[Path], n_shown: int = 5) -> str:
    shown = ", ".join(path.name for path in paths[:n_shown])
    return shown if len(paths) <= n_shown else f"{shown} and {len(paths) - n_shown} more"
