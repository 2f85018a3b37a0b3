"""What several verbs share: options, formats, reading of sources."""

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
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class OnError(StrEnum):
    """What becomes of images that cannot be read."""

    RAISE = "raise"
    SKIP = "skip"


DEFAULT_MODEL = "maskkit-lite0"

# Groups of options in --help.
DATA_GROUP, MODEL_GROUP, OUTPUT_GROUP = "Data", "Model", "Output"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Folder that train wrote, or name of a model that ships with maskkit.",
        autocompletion=complete_model,
        rich_help_panel=MODEL_GROUP,
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Face detector instead of the model's own: centerface, dlib_hog, dlib_cnn, yunet, whole or a plugin.",
        autocompletion=complete_detector,
        rich_help_panel=MODEL_GROUP,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, cpu, cuda, cuda:1 or mps.",
        autocompletion=complete_device,
        rich_help_panel=MODEL_GROUP,
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="How to print the results: table, json, jsonl or csv.",
        rich_help_panel=OUTPUT_GROUP,
    ),
]
OnErrorOption = Annotated[
    OnError,
    typer.Option(
        metavar="raise|skip",
        help="Images that cannot be read end the run, or are left out.",
        rich_help_panel=DATA_GROUP,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which split of DATA, such as Validation; not needed where there is one.",
        autocompletion=complete_split,
        rich_help_panel=DATA_GROUP,
    ),
]
TrainSplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which split of DATA; Train, if not said otherwise.",
        autocompletion=complete_split,
        rich_help_panel=DATA_GROUP,
    ),
]


def load_model(model: str, **params: Any) -> "MaskClassifier":
    """Load a model by folder or by name; a folder wins."""
    from maskkit import MaskClassifier

    given = {name: value for name, value in params.items() if value is not None}
    if Path(model).exists() or "/" in model:
        return MaskClassifier.load(model, **given)
    return MaskClassifier.from_pretrained(model, **given)


def holds_photos(folder: Path) -> bool:
    """Tell whether a folder holds photos with Pascal VOC annotations rather than sorted faces."""
    return any(
        path.suffix.lower() == ".xml" or (path.name.lower() == "annotations" and path.is_dir())
        for path in folder.glob("*")
    )


def choose_split(faces: Any, wanted: str | None, *, default: str | None = None) -> Any:
    """Give the split of `load_faces` that was named, in any case, else the default, else the only one."""
    from maskkit.exceptions import DataError

    splits = faces.splits
    name = (wanted or "").lower() or (default if default in splits else None)
    if name is None and len(splits) == 1:
        name = next(iter(splits))
    if name is None:
        raise typer.BadParameter(f"DATA has {', '.join(splits)}; name one of them", param_hint="--split")
    if name not in splits:
        raise DataError(f"--split {wanted}: no such split; DATA has {', '.join(splits)}.")
    return splits[name]


def find_images(sources: Iterable[str]) -> list[Path]:
    """List the images that files, folders (with all below them) and patterns name, in order."""
    from maskkit.datasets._folders import find_images_of
    from maskkit.exceptions import DataError

    found: list[Path] = []
    for source in sources:
        if source == "-":
            raise DataError("-: standard input is not read; write the picture to a file and pass that.")
        if "://" in source:
            raise DataError(f"{source}: is a URL, and prediction uses no network; download it and pass the file.")
        found += find_images_of(source)
    return found


def load_data(folder: Path, *, on_error: Any = "raise") -> Any:
    """Load annotated photos, or faces by split, whichever a folder holds."""
    from maskkit import datasets
    from maskkit.exceptions import DataError

    if holds_photos(folder):
        return datasets.load_photos(folder, on_error=on_error)
    try:
        return datasets.load_faces(folder, on_error=on_error)
    except DataError as exc:
        if folder.is_dir() and not any(path.is_dir() for path in folder.iterdir()):
            raise DataError(f"{exc} Photos are wanted with a Pascal VOC annotation each (*.xml).") from exc
        raise


def refuse_for_photos(option: str, value: Any) -> None:
    """Raise BadParameter if an option for crops was given for photos."""
    if value is not None:
        raise typer.BadParameter("DATA holds annotated photos, which have none", param_hint=option)


def check_folder_to_write(path: Path | None, option: str) -> None:
    """Raise BadParameter, before anything is computed, if what is to be a folder is a file."""
    if path is not None and path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{path}: is a file; want a folder, which is made if need be", param_hint=option)


def check_picture(path: Path) -> None:
    """Check that the ending names a format of pictures that can be written; raises BadParameter."""
    from PIL import Image

    endings = Image.registered_extensions()
    if endings.get(path.suffix.lower()) not in Image.SAVE:
        raise typer.BadParameter(
            f"{path}: its ending names no format of pictures; use .png or .jpg", param_hint="--out"
        )


def free_stem(source: str, taken: set[str]) -> str:
    """Name what is written as its source; two photos of one name do not overwrite each other."""
    stem, number = Path(source).stem, 2
    while stem in taken:
        stem, number = f"{Path(source).stem}-{number}", number + 1
    taken.add(stem)
    return stem


def print_results(output: Format, *, table: Any, document: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Print one thing in the form asked for.

    Parameters
    ----------
    output : Format
    table : rich renderable
        For people.
    document : object
        All of it, as JSON can hold it.
    rows : iterable of dict
        What of it are rows, with the same keys each; there is at least one.
    """
    if output is Format.TABLE:
        import rich

        rich.print(table)
    elif output is Format.JSON:
        print_json(document)
    elif output is Format.JSONL:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        rows = list(rows)
        print_csv(rows, rows[0])


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_csv(rows: Iterable[dict[str, Any]], fields: Iterable[str]) -> None:
    """Print rows as CSV with a header, each as it comes."""
    writer = csv.DictWriter(sys.stdout, list(fields), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
