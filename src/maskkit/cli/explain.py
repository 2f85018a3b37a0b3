"""maskkit explain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from maskkit.cli._options import (
    DATA_GROUP,
    DEFAULT_MODEL,
    MODEL_GROUP,
    OUTPUT_GROUP,
    DetectorOption,
    DeviceOption,
    Format,
    FormatOption,
    ModelOption,
    check_folder_to_write,
    find_images,
    free_stem,
    load_model,
    print_csv,
    print_json,
)

if TYPE_CHECKING:
    from maskkit import MaskClassifier

Row: TypeAlias = dict[str, str | None]


def explain(
    sources: Annotated[
        list[str], typer.Argument(help="Photos: files, folders or quoted patterns.", metavar="SOURCE...")
    ],
    crops: Annotated[
        bool,
        typer.Option("--crops", help="Each image is one face: look for none in it.", rich_help_panel=DATA_GROUP),
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class to explain, instead of the most probable of each face.",
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    save: Annotated[
        Path, typer.Option(metavar="DIR", help="Write the pictures into this folder.", rich_help_panel=OUTPUT_GROUP)
    ] = Path("explained"),
    output: FormatOption = Format.TABLE,
) -> None:
    """Show which places of each face the model looks at.

    The answer is a heat map over each face, one picture a photo.

    Example: maskkit explain street.jpg --save explained

    Example: maskkit explain faces/Validation --crops --label without_mask
    """
    check_folder_to_write(save, "--save")
    classifier = load_model(model, detector=detector, device=device)
    draw = _explain_crops if crops else _explain_photos
    unreadable: list[str] = []
    _print(draw(classifier, find_images(sources), label, save, unreadable), output)
    if unreadable:
        raise ValueError(f"{len(unreadable)} of the images could not be read: {' '.join(unreadable)}")


def _explain_photos(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, folder: Path, unreadable: list[str]
) -> Iterator[Row]:
    from maskkit import explain_faces

    stems: set[str] = set()
    for photo in classifier.predict_photos(paths):
        if photo.error is not None:
            unreadable.append(photo.error)
            continue
        faces = explain_faces(classifier, photo, label=label)
        if faces:
            counts = ", ".join(f"{count} {name}" for name, count in photo.summary().items())
            yield _row(photo.name, counts, faces.save(folder / f"{free_stem(photo.name, stems)}.png"))
        else:
            yield _row(photo.name, "no face", None)


def _explain_crops(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, folder: Path, unreadable: list[str]
) -> Iterator[Row]:
    from maskkit import explain
    from maskkit.exceptions import ImageError

    stems: set[str] = set()
    for path in paths:
        try:
            face = explain(classifier, path, label=label)
        except ImageError as exc:
            unreadable.append(str(exc))
            continue
        said = f"{face.label} {face.probability:.0%}"
        yield _row(str(path), said, face.save(folder / f"{free_stem(str(path), stems)}.png"))


def _row(source: str, said: str, written: Path | None) -> Row:
    return {"source": source, "said": said, "written": None if written is None else str(written)}


def _print(rows: Iterator[Row], output: Format) -> None:
    if output is Format.TABLE:
        for row in rows:
            written = "" if row["written"] is None else f"; written: {row['written']}"
            print(f"{row['source']}: {row['said']}{written}")
    elif output is Format.JSON:
        print_json(list(rows))
    elif output is Format.JSONL:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    else:
        print_csv(rows, ("source", "said", "written"))
