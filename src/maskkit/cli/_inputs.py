"""Models and data of the command line: loading a model, listing images, and reading data sets by split."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from maskkit._text import check_path, escape_text, hide_secrets

if TYPE_CHECKING:
    from maskkit import MaskClassifier
    from maskkit._files.outputs import OutputFolders

# What precedes the name of a model on the Hugging Face Hub.
HUB = "hub:"

# Functions of maskkit.datasets, by the endings of the files that they load.
_LOADERS = {
    ".csv": "load_table",
    ".tsv": "load_table",
    ".parquet": "load_table",
    ".json": "load_coco",
    ".yaml": "load_yolo",
    ".yml": "load_yolo",
}


def load_model(model: str, *, detector_size: Sequence[int] | None = None, **params: Any) -> "MaskClassifier":
    """Load a model by folder, by name or from the Hub, and set the long sides of its detector. A folder comes first."""
    from maskkit import MaskClassifier

    given = {name: value for name, value in params.items() if value is not None}
    if model.startswith(HUB) and not Path(model).exists():
        classifier = MaskClassifier.from_hub(model.removeprefix(HUB), **given)
    else:
        # A path that does not exist is still a path: the error then names the folder, not a bundled model.
        load = MaskClassifier.load if Path(model).exists() or "/" in model else MaskClassifier.from_pretrained
        classifier = load(model, **given)
    if detector_size:
        _set_detector_size(classifier, detector_size)
    return classifier


def check_no_detection(because: str, **given: Any) -> None:
    """Raise BadParameter if an option about detection is given where no face is detected."""
    for name, value in given.items():
        if value:
            raise typer.BadParameter(f"no face is detected in {because}", param_hint=f"--{name.replace('_', '-')}")


def _set_detector_size(classifier: "MaskClassifier", long_sides_px: Sequence[int]) -> None:
    detector: Any = classifier.detector_
    known: dict[str, Any] = getattr(detector, "get_params", dict)()
    if "long_sides_px" in known:
        detector.set_params(long_sides_px=tuple(long_sides_px))
    elif "long_side_px" not in known:
        raise typer.BadParameter(
            f"the detector {classifier.detector} does not scale images", param_hint="--detector-size"
        )
    elif len(long_sides_px) > 1:
        raise typer.BadParameter(f"the detector {classifier.detector} takes one size", param_hint="--detector-size")
    else:
        detector.set_params(long_side_px=long_sides_px[0])


def are_photos(loaded: Any) -> bool:
    """Return whether what `load_data` or `choose_split` returned are annotated photos rather than face crops."""
    return isinstance(loaded, list) or any(isinstance(split, list) for split in loaded.get("splits", {}).values())


def choose_split(loaded: Any, requested: str | None, *, default: str | None = None, option: str = "--split") -> Any:
    """Return the requested split of data (in any case), else the default, else the only one.

    Photos without splits are returned whole. Raises BadParameter if a split of them is requested.
    """
    from maskkit.exceptions import DataError

    if isinstance(loaded, list):
        check_no_split(requested, option)
        return loaded
    splits = loaded.splits
    name = (requested or "").lower() or (default if default in splits else None)
    if name is None and len(splits) == 1:
        name = next(iter(splits))
    if name is None:
        raise typer.BadParameter(f"DATA has {', '.join(splits)}; choose one of them", param_hint=option)
    if name not in splits:
        raise DataError(f"{option} {requested}: no such split; DATA has {', '.join(splits)}.")
    return splits[name]


def find_images(sources: Iterable[str], *, outputs: Iterable[Path | None] = ()) -> list[Path]:
    """List the images in files, folders (with their subfolders) and patterns, in order.

    What is inside of folders in `outputs` is left out.
    """
    from maskkit._files.outputs import OutputFolders
    from maskkit._images.listing import find_images_of
    from maskkit._images.sources import check_no_url
    from maskkit.exceptions import DataError

    written = OutputFolders(outputs)
    found: list[Path] = []
    for source in sources:
        if source == "-":
            raise DataError("-: standard input is not supported; save the image as a file and pass its path.")
        check_no_url(source, hide_secrets(source), DataError)
        check_path(source, DataError)
        written.check_source(source)
        images = list(find_images_of(source))
        found += _leave_out(written, images, source)
        if images and not found:
            raise DataError(f"{source}: contains no images but those in the output folder; pass another folder.")
    return found


def _leave_out(written: "OutputFolders", images: list[Path], source: str) -> list[Path]:
    """Return the images that are not in an output folder; print the number of the others, which may be the user's."""
    kept = list(written.leave_out(images, source))
    if n_left_out := len(images) - len(kept):
        counted = "1 image" if n_left_out == 1 else f"{n_left_out} images"
        typer.echo(escape_text(f"left out: {counted} of {source} inside an output folder"), err=True)
    return kept


def load_data(data: Path, *, on_error: Any = "raise", outputs: Iterable[Path | None] = (), **of_crops: Any) -> Any:
    """Load face crops or annotated photos, whichever DATA is, in any format.

    Folders in `outputs` are left out, and DATA may be none of them. `of_crops` are further parameters of `load_faces`.
    Returns a list of AnnotatedPhoto, or a Bunch of splits of photos or face crops.
    """
    from maskkit import datasets
    from maskkit._files.outputs import OutputFolders
    from maskkit._images.listing import find_images_below
    from maskkit.datasets._yolo import find_data_file
    from maskkit.exceptions import DataError

    data = find_data_file(data)
    ending = data.suffix.lower()
    if not data.is_dir() and ending in _LOADERS:
        return getattr(datasets, _LOADERS[ending])(os.fspath(data), on_error=on_error)
    if data.is_file():
        raise DataError(f"{data}: is a file that ends in {ending!r}; want a folder, or {', '.join(_LOADERS)}.")
    # As text, because Path(".") may be an empty path to the library. Here, empty paths were refused already.
    if has_annotations(data):
        return datasets.load_photos(os.fspath(data), on_error=on_error)
    given = [output for output in outputs if output is not None]
    if data.is_dir() and (folders := [output for output in given if output.is_dir()]):
        written = OutputFolders(folders)
        written.check_source(data)
        _leave_out(written, find_images_below(data), os.fspath(data))
    try:
        return datasets.load_faces(os.fspath(data), on_error=on_error, exclude=given, **of_crops)
    except DataError as exc:
        # A folder of images alone was probably meant as photos, so add what photos need.
        if data.is_dir() and not any(path.is_dir() for path in data.iterdir()):
            raise DataError(
                f"{exc} Photos need annotations: Pascal VOC (*.xml), or a file {', '.join(_LOADERS)}."
            ) from exc
        raise


def has_annotations(data: Path) -> bool:
    """Return whether a folder holds annotations of photos: a YOLO data file, or files of Pascal VOC."""
    from maskkit.datasets._yolo import find_data_file

    return find_data_file(data) != data or any(
        path.suffix.lower() == ".xml" or (path.name.lower() == "annotations" and path.is_dir())
        for path in data.glob("*")
    )


def check_no_split(split: str | None, option: str = "--split") -> None:
    """Raise BadParameter if a split is requested of annotated photos."""
    if split is not None:
        raise typer.BadParameter("DATA contains annotated photos, which have no splits", param_hint=option)
