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
    check_folder_to_write,
    find_images,
    free_stem,
    load_model,
    print_csv,
    print_json,
)

if TYPE_CHECKING:
    from maskkit import PhotoResult


def predict(
    sources: Annotated[
        list[str], typer.Argument(help="Photos: files, folders or quoted patterns.", metavar="SOURCE...")
    ],
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write each photo, drawn over, into this folder.", rich_help_panel=OUTPUT_GROUP
        ),
    ] = None,
    save_crops: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each face into this folder.", rich_help_panel=OUTPUT_GROUP),
    ] = None,
    blur: Annotated[
        bool,
        typer.Option("--blur", help="Make the faces in saved photos unrecognisable.", rich_help_panel=OUTPUT_GROUP),
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Find the faces in photos and tell who wears a mask.

    Results go to standard output as they come, whatever else is said to standard error.

    Example: maskkit predict street.jpg --save drawn

    Example: maskkit predict photos/ --format csv > faces.csv
    """
    if blur and save is None:
        raise typer.BadParameter("is for the photos that --save writes", param_hint="--blur")
    check_folder_to_write(save, "--save")
    check_folder_to_write(save_crops, "--save-crops")
    paths = find_images(sources)
    classifier = load_model(model, detector=detector, device=device)
    originals = {path.resolve() for path in paths}
    n_unreadable = 0
    stems: set[str] = set()

    def photos() -> Iterator["PhotoResult"]:
        nonlocal n_unreadable
        for photo in classifier.predict_photos(paths):
            if photo.error is not None:
                if len(paths) == 1:
                    raise ValueError(photo.error)
                n_unreadable += 1
                typer.echo(f"maskkit: {photo.error}", err=True)
            else:
                stem = free_stem(photo.name, stems)
                if save is not None:
                    target = save / f"{stem}.png"
                    if target.resolve() in originals:
                        raise ValueError(f"{target}: is one of the photos themselves; choose another folder.")
                    photo.save(target, blur=blur)
                if save_crops is not None:
                    photo.save_crops(save_crops, stem=stem)
            yield photo

    _print(photos(), output)
    for folder in (save, save_crops):
        if folder is not None and folder.is_dir():
            typer.echo(f"written: {folder}", err=True)
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
