"""maskkit predict."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskkit.cli._options import (
    DEFAULT_MODEL,
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
    print_written,
    unique_stem,
)

if TYPE_CHECKING:
    from maskkit import PhotoResult


def predict(
    sources: Annotated[list[str], typer.Argument(help="Photos: files, folders or quoted patterns.", metavar="SOURCE")],
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        option("DIR", "Write photos with the results drawn on them to this folder.", OUTPUT_GROUP, "--out", "-o"),
    ] = None,
    blur: Annotated[bool, flag("--blur", "Blur the faces in the photos of --out.", OUTPUT_GROUP)] = False,
    save_crops: Annotated[Path | None, option("DIR", "Write the face crops to this folder.", OUTPUT_GROUP)] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Detect faces in photos and classify each.

    Results are printed to standard output photo by photo, everything else to
    standard error.

    Example: maskkit predict street.jpg --out annotated

    Example: maskkit predict photos/ --format csv > faces.csv
    """
    if blur and out is None:
        raise typer.BadParameter("is for the photos that --out writes", param_hint="--blur")
    check_output_folder(out, "--out")
    check_output_folder(save_crops, "--save-crops")
    paths = find_images(sources)
    classifier = load_model(model, detector=detector, device=device)
    originals = {path.resolve() for path in paths}
    n_unreadable = 0
    stems: set[str] = set()

    # A generator, so that each result is printed as soon as its photo is done.
    def photos() -> Iterator["PhotoResult"]:
        nonlocal n_unreadable
        for photo in classifier.predict_photos(paths):
            if photo.error is not None:
                # Several photos: report the error, continue, and exit with 1 at the end.
                if len(paths) == 1:
                    raise ValueError(photo.error)
                n_unreadable += 1
                typer.echo(f"maskkit: {photo.error}", err=True)
            else:
                stem = unique_stem(photo.name, stems)
                if out is not None:
                    target = out / f"{stem}.png"
                    # With --out in the folder of the photos, a PNG would be overwritten by its result.
                    if target.resolve() in originals:
                        raise ValueError(f"{target}: is one of the input photos; choose another folder.")
                    photo.save(target, blur=blur)
                if save_crops is not None:
                    photo.save_crops(save_crops, stem=stem)
            yield photo

    _print(photos(), output)
    for folder in (out, save_crops):
        if folder is not None and folder.is_dir():
            print_written(folder)
    if n_unreadable:
        raise ValueError(f"{n_unreadable} of {len(paths)} photos could not be read")


def _print(photos: Iterable["PhotoResult"], output: Format) -> None:
    from maskkit._model.results import ROW_FIELDS, rows_of

    if output is Format.JSON:
        print_json([photo.to_dict() for photo in photos])
    elif output is Format.JSONL:
        for photo in photos:
            print(photo.to_json(), flush=True)
    elif output is Format.CSV:
        print_csv((row for photo in photos for row in rows_of(photo)), ROW_FIELDS)
    else:
        import rich

        for photo in photos:
            rich.print(photo)
