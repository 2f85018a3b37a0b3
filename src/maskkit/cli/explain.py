"""maskkit explain."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

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
    check_output_folder,
    find_images,
    flag,
    load_model,
    option,
    print_csv,
    print_json,
    print_jsonl,
    unique_stem,
)

if TYPE_CHECKING:
    from maskkit import MaskClassifier

Row: TypeAlias = dict[str, Any]


def explain(
    sources: Annotated[list[str], typer.Argument(help="Photos: files, folders or quoted patterns.", metavar="SOURCE")],
    crops: Annotated[bool, flag("--crops", "Treat each image as one face; detect none.", DATA_GROUP)] = False,
    model: ModelOption = DEFAULT_MODEL,
    label: Annotated[
        str | None, option("CLASS", "Class to explain instead of the predicted class of each face.", MODEL_GROUP)
    ] = None,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    out: Annotated[Path, option("DIR", "Folder to write to.", OUTPUT_GROUP, "--out", "-o")] = Path("explained"),
    output: FormatOption = Format.TABLE,
) -> None:
    """Draw heat maps of the pixels that predictions depend on.

    Each photo becomes one picture with a Grad-CAM heat map over each face.

    Example: maskkit explain street.jpg --out explained

    Example: maskkit explain faces/Validation --crops --label without_mask
    """
    check_output_folder(out, "--out")
    classifier = load_model(model, detector=detector, device=device)
    draw = _explain_crops if crops else _explain_photos
    unreadable: list[str] = []
    _print(draw(classifier, find_images(sources), label, out, unreadable), output)
    if unreadable:
        raise ValueError(f"{len(unreadable)} of the images could not be read: {' '.join(unreadable)}")


def _explain_photos(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, folder: Path, unreadable: list[str]
) -> Iterator[Row]:
    """Draw the heat maps of each photo and yield its row; append the errors of photos that cannot be read."""
    from maskkit import explain_faces

    stems: set[str] = set()
    # An unreadable photo does not end the run; the command reports all of them at the end.
    for photo in classifier.predict_photos(paths):
        if photo.error is not None:
            unreadable.append(photo.error)
            continue
        faces = explain_faces(classifier, photo, label=label)
        if faces:
            counts = ", ".join(f"{count} {name}" for name, count in photo.summary().items())
            yield _row(photo.name, counts, faces.save(folder / f"{unique_stem(photo.name, stems)}.png"))
        else:
            yield _row(photo.name, "no face", None)


def _explain_crops(
    classifier: "MaskClassifier", paths: list[Path], label: str | None, folder: Path, unreadable: list[str]
) -> Iterator[Row]:
    """Draw the heat map of each face crop and yield its row; append the errors of crops that cannot be read."""
    from maskkit import explain
    from maskkit.exceptions import ImageError

    stems: set[str] = set()
    for path in paths:
        try:
            face = explain(classifier, path, label=label)
        except ImageError as exc:
            unreadable.append(str(exc))
            continue
        explained = f"{face.label} {face.probability:.0%}"
        yield _row(str(path), explained, face.save(folder / f"{unique_stem(str(path), stems)}.png"))


def _row(source: str, explained: str, written: Path | None) -> Row:
    return {"source": source, "explained": explained, "written": None if written is None else str(written)}


def _print(rows: Iterator[Row], output: Format) -> None:
    if output is Format.TABLE:
        for row in rows:
            written = "" if row["written"] is None else f"; written: {row['written']}"
            print(f"{row['source']}: {row['explained']}{written}")
    elif output is Format.JSON:
        print_json(list(rows))
    elif output is Format.JSONL:
        print_jsonl(rows)
    else:
        print_csv(rows, ("source", "explained", "written"))
