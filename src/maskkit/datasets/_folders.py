"""Layouts of folders of face crops, and checks of files."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from maskkit._files.outputs import OutputFolders
from maskkit._images.listing import check_listable, list_folders, list_images
from maskkit._images.load import load_image
from maskkit._images.prefetch import prefetch_map
from maskkit._labels import describe_twins, find_twins
from maskkit._text import check_path, escape_text
from maskkit.exceptions import DataError, ImageError, SkippedImageWarning

_LAYOUTS = "want split and class folders (Train/WithMask/*.png) or class folders alone (WithMask/*.png)"


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder as a Path; raise DataError if it is missing, a file, or cannot be read."""
    folder = check_path(folder, DataError)
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; check the path.")
    if not folder.is_dir():
        raise DataError(
            f"{folder}: is a file; pass the folder that contains the data, or use load_table, load_coco or load_yolo."
        )
    check_listable(folder)
    return folder


def check_on_error(on_error: str) -> None:
    """Raise ValueError if `on_error` is neither ``"raise"`` nor ``"skip"``."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} is unknown; use 'raise' or 'skip'.")


def find_faces(
    folder: Path, exclude: Iterable[str | os.PathLike[str]]
) -> tuple[dict[Path, dict[str, list[Path]]], dict[Path, str]]:
    """Find the images of a folder of face crops, without those in the folders of `exclude`.

    Returns folder of the split -> name of the class -> paths, and splits that cannot be read -> reason. Class folders
    alone are one split, whose key is `folder` itself. A class folder that cannot be read is its only image.

    Raises DataError if the folder has neither layout, or a class contains no image.
    """
    left_out = OutputFolders(exclude)
    inside = left_out.drop(list_folders(folder))
    if not inside:
        raise DataError(f"{folder}: contains {_count(list_images(folder))} and no folder; {_LAYOUTS}.")
    # A split contains folders of classes; a class contains images only.
    splits = [path for path in inside if _split_listable(left_out.drop(list_folders(path)))[0]]
    if not splits:
        found = {folder: _find_classes(folder, left_out)}
        _check_classes(folder, found)
        return found, {}
    others, locked = _split_listable(path for path in inside if path not in splits)
    if others:
        raise DataError(
            f"{folder}: mixes layouts: {_names(splits)} with class folders inside, {_names(others)} without; "
            f"{_LAYOUTS}. Move other folders elsewhere."
        )
    _check_no_images(folder)
    found = {split: _find_classes(split, left_out) for split in splits}
    _check_classes(folder, found)
    return found, locked


def _split_listable(folders: Iterable[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Return the folders that can be read, and the reasons why the others cannot."""
    listable: list[Path] = []
    locked = {}
    for path in folders:
        try:
            check_listable(path)
            listable.append(path)
        except DataError as exc:
            locked[path] = str(exc)
    return listable, locked


def _find_classes(folder: Path, left_out: OutputFolders) -> dict[str, list[Path]]:
    _check_no_images(folder)
    classes = {}
    for path in left_out.drop(list_folders(folder)):
        deeper, locked = _split_listable(left_out.drop(list_folders(path)))
        if deeper:
            raise DataError(
                f"{path}: contains folders ({_names(deeper)}) instead of images; {_LAYOUTS}. "
                f"If the data are in a subfolder, pass that folder, such as {folder}."
            )
        classes[path.name] = [*list_images(path), *locked]
        if not classes[path.name]:
            raise DataError(f"{path}: contains no image; want at least one per class. Fill the folder or remove it.")
    return classes


def _check_classes(folder: Path, found: Mapping[Path, Mapping[str, list[Path]]]) -> None:
    """Raise DataError unless the splits together have two classes or more, each spelled in one way.

    A split may lack a class: what is trained on is checked where it is trained on. With one class in all, the folders
    are probably at another level.
    """
    names = sorted({name for classes in found.values() for name in classes})
    if len(names) < 2:
        raise DataError(f"{folder}: contains only one class, {names[0]}; {_LAYOUTS}, two or more.")
    if twins := find_twins(names):
        raise DataError(
            f"{folder}: the class folders {describe_twins(twins)} differ only in spelling, but would be different "
            f"classes; want one name per class. Rename or merge them."
        )


def _check_no_images(folder: Path) -> None:
    if images := list_images(folder):
        raise DataError(
            f"{folder}: contains {_count(images)} ({_names(images)}) beside folders, so without a class; "
            f"move them into a class folder or elsewhere."
        )


def find_unreadable(paths: Sequence[Path]) -> dict[Path, str]:
    """Decode every image; return those that fail, with the reason."""
    errors = prefetch_map(_read_error, paths)
    return {path: error for path, error in zip(paths, errors, strict=True) if error is not None}


def _read_error(path: Path) -> str | None:
    try:
        load_image(path)
    except ImageError as exc:
        return str(exc)
    return None


def warn_of_skipped(skipped: Mapping[Path, str], n_all: int, kind: str, stacklevel: int = 3) -> None:
    """Warn the caller's caller once of all files that were left out, if there are any."""
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {n_all} {kind} cannot be read and were left out: {_names(list(skipped))}. "
            f"The first: {next(iter(skipped.values()))}",
            SkippedImageWarning,
            stacklevel=stacklevel,
        )


def _count(images: Sequence[Path]) -> str:
    return "1 image" if len(images) == 1 else f"{len(images) or 'no'} images"


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(escape_text(path.name) for path in paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"
