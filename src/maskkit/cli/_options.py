"""Options, data loading and printing that several commands share."""

import csv
import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskkit.cli._complete import complete_detector, complete_device, complete_model, complete_split

if TYPE_CHECKING:
    from maskkit import MaskClassifier


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class OnError(StrEnum):
    """Policies for images that cannot be read."""

    RAISE = "raise"
    SKIP = "skip"


DEFAULT_MODEL = "maskkit-lite0"

# Titles of the option groups in --help.
DATA_GROUP, MODEL_GROUP, OUTPUT_GROUP = "Data", "Model", "Output"


def option(metavar: str, text: str, panel: str | None = None, *names: str, **settings: Any) -> Any:
    """Return a typer option: its value in --help, its help text and the group that it belongs to."""
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **settings)


def flag(name: str, text: str, panel: str | None = None, *names: str, **settings: Any) -> Any:
    """Return a typer option that takes no value, without the type "<bool>" that typer would show."""
    return option("", text, panel, name, *names, **settings)


ModelOption = Annotated[
    str,
    option(
        "MODEL",
        "Model folder written by train, or the name of a bundled model.",
        MODEL_GROUP,
        "--model",
        "-m",
        autocompletion=complete_model,
    ),
]
DetectorOption = Annotated[
    str | None,
    option(
        "NAME",
        "Face detector to use instead of the model's own: centerface, dlib_hog, dlib_cnn, yunet, whole or a plugin.",
        MODEL_GROUP,
        autocompletion=complete_detector,
    ),
]
DeviceOption = Annotated[
    str, option("NAME", "Device: auto, cpu, cuda, cuda:1 or mps.", MODEL_GROUP, autocompletion=complete_device)
]
FormatOption = Annotated[
    Format, option("FORMAT", "Output format: table, json, jsonl or csv.", OUTPUT_GROUP, "--format", "-f")
]
OnErrorOption = Annotated[
    OnError,
    option("raise|skip", "What to do with images that cannot be read: stop, or skip them with a warning.", DATA_GROUP),
]
SplitOption = Annotated[
    str | None,
    option(
        "NAME",
        "Split of DATA to use, such as Validation. Not needed if there is only one.",
        DATA_GROUP,
        autocompletion=complete_split,
    ),
]
TrainSplitOption = Annotated[
    str | None, option("NAME", "Split of DATA to use. By default Train.", DATA_GROUP, autocompletion=complete_split)
]
PlotsOption = Annotated[Path | None, option("DIR", "Write plots to this folder.", OUTPUT_GROUP)]
QuietOption = Annotated[bool, flag("--quiet", "Show no progress.", OUTPUT_GROUP, "-q")]


def load_model(model: str, **params: Any) -> "MaskClassifier":
    """Load a model by folder or by name. A folder takes precedence."""
    from maskkit import MaskClassifier

    given = {name: value for name, value in params.items() if value is not None}
    # A path that does not exist is still a path: the error then names the folder, not a bundled model.
    if Path(model).exists() or "/" in model:
        return MaskClassifier.load(model, **given)
    return MaskClassifier.from_pretrained(model, **given)


def contains_photos(folder: Path) -> bool:
    """Check whether a folder contains photos with Pascal VOC annotations rather than face crops."""
    return any(
        path.suffix.lower() == ".xml" or (path.name.lower() == "annotations" and path.is_dir())
        for path in folder.glob("*")
    )


def choose_split(faces: Any, requested: str | None, *, default: str | None = None) -> Any:
    """Return the requested split of `load_faces` (in any case), else the default, else the only one."""
    from maskkit.exceptions import DataError

    splits = faces.splits
    name = (requested or "").lower() or (default if default in splits else None)
    if name is None and len(splits) == 1:
        name = next(iter(splits))
    if name is None:
        raise typer.BadParameter(f"DATA has {', '.join(splits)}; choose one of them", param_hint="--split")
    if name not in splits:
        raise DataError(f"--split {requested}: no such split; DATA has {', '.join(splits)}.")
    return splits[name]


def find_images(sources: Iterable[str]) -> list[Path]:
    """List the images in files, folders (with their subfolders) and patterns, in order."""
    from maskkit._images.listing import find_images_of
    from maskkit.exceptions import DataError

    found: list[Path] = []
    for source in sources:
        if source == "-":
            raise DataError("-: standard input is not supported; save the image as a file and pass its path.")
        if "://" in source:
            raise DataError(f"{source}: is a URL, and this command uses no network; download it and pass the file.")
        found += find_images_of(source)
    return found


def load_data(folder: Path, *, on_error: Any = "raise") -> Any:
    """Load annotated photos, or face crops by split, whichever a folder contains."""
    from maskkit import datasets
    from maskkit.exceptions import DataError

    if contains_photos(folder):
        return datasets.load_photos(folder, on_error=on_error)
    try:
        return datasets.load_faces(folder, on_error=on_error)
    except DataError as exc:
        # A folder of images alone was probably meant as photos, so add what photos need.
        if folder.is_dir() and not any(path.is_dir() for path in folder.iterdir()):
            raise DataError(f"{exc} Photos need a Pascal VOC annotation each (*.xml).") from exc
        raise


def check_no_split(split: str | None) -> None:
    """Raise BadParameter if a split is requested of annotated photos."""
    if split is not None:
        raise typer.BadParameter("DATA contains annotated photos, which have no splits", param_hint="--split")


def check_output_folder(path: Path | None, option: str) -> None:
    """Raise BadParameter, before anything is computed, if an output folder is a file."""
    if path is not None and path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{path}: is a file; pass a folder, which is created if missing", param_hint=option)


def check_picture_format(path: Path) -> None:
    """Raise BadParameter if pictures cannot be written in the format of the file's extension."""
    from PIL import Image

    extensions = Image.registered_extensions()
    if extensions.get(path.suffix.lower()) not in Image.SAVE:
        raise typer.BadParameter(f"{path}: unknown picture format; use .png or .jpg", param_hint="--out")


def unique_stem(source: str, used: set[str]) -> str:
    """Return the stem of the source file, numbered if another photo has used it."""
    stem, number = Path(source).stem, 2
    while stem in used:
        stem, number = f"{Path(source).stem}-{number}", number + 1
    used.add(stem)
    return stem


def print_written(path: object) -> None:
    """Print the path of a file or folder that was written, on standard error."""
    typer.echo(f"written: {path}", err=True)


def print_results(output: Format, *, table: Any, document: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Print a result in the requested format.

    Parameters
    ----------
    output : Format
    table : rich renderable
        The result for people.
    document : object
        The whole result, serializable as JSON.
    rows : iterable of dict
        The result as at least one row. All rows have the same keys.
    """
    if output is Format.TABLE:
        import rich

        rich.print(table)
    elif output is Format.JSON:
        print_json(document)
    elif output is Format.JSONL:
        print_jsonl(rows)
    else:
        rows = list(rows)
        print_csv(rows, rows[0])


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_jsonl(rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as JSON Lines, each as soon as it is computed."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


def print_csv(rows: Iterable[dict[str, Any]], fields: Iterable[str]) -> None:
    """Print rows as CSV with a header, each as soon as it is computed."""
    writer = csv.DictWriter(sys.stdout, list(fields), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
