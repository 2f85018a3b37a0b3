"""maskkit predict."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._inputs import check_no_detection, find_images, load_model
from maskkit.cli._options import OUTPUT_GROUP, check_folder, flag, option, out_option
from maskkit.cli._outputs import Stems, print_written

BlurOption = Annotated[
    bool,
    flag(
        "--blur",
        "Blur the detected faces in the photos of --out. A face that is not detected stays sharp: check the photos.",
        OUTPUT_GROUP,
    ),
]

if TYPE_CHECKING:
    from maskkit import PhotoResult


def predict(
    sources: shared.PhotosArgument,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    threshold: shared.ThresholdOption = None,
    min_size: shared.MinSizeOption = None,
    max_faces: shared.MaxFacesOption = None,
    device: shared.DeviceOption = "auto",
    crops: shared.CropsOption = False,
    max_pixels: shared.MaxPixelsOption = None,
    out: Annotated[
        Path | None,
        out_option("DIR", "Write photos with the results drawn on them to this folder, as PNG.", callback=check_folder),
    ] = None,
    blur: BlurOption = False,
    save_crops: Annotated[
        Path | None, option("DIR", "Write the face crops to this folder.", OUTPUT_GROUP, callback=check_folder)
    ] = None,
    output: shared.FormatOption = "table",
) -> None:
    """Detect faces in photos and classify each.

    Results go to standard output, photo by photo unless --format is json.
    Everything else goes to standard error.

    Example: maskkit predict street.jpg --out annotated

    Example: maskkit predict crops/ --crops --threshold 0.9

    Example: maskkit predict photos/ --format csv > faces.csv
    """
    from maskkit import PhotoResult
    from maskkit.cli._photo_table import print_photos

    if blur and out is None:
        raise typer.BadParameter("is for the photos that --out writes", param_hint="--blur")
    if crops:
        check_no_detection(
            "crops of one face each", detector=detector, detector_size=detector_size, max_faces=max_faces
        )
    paths = find_images(sources, outputs=(out, save_crops))
    classifier = load_model(
        model, detector=detector, detector_size=detector_size, device=device, threshold=threshold, min_size_px=min_size
    )
    n_unreadable = 0
    stems = Stems(out, save_crops)

    # A generator, so that each result is printed as soon as its photo is done.
    def photos() -> Iterator[PhotoResult]:
        nonlocal n_unreadable
        for photo in classifier.predict_photos(paths, crops=crops, max_faces=max_faces):
            error = photo.error or _write(photo, out, save_crops, stems, blur=blur)
            if error is not None:
                # With several photos, the error is reported and the exit code is 1 at the end.
                if len(paths) == 1:
                    raise ValueError(error)
                n_unreadable += 1
                typer.echo(escape_text(f"maskkit: {error}"), err=True)
            yield photo

    print_photos(output, photos(), classifier.classes_.tolist())
    for folder in (out, save_crops):
        if folder is not None and folder.is_dir():
            print_written(folder)
    if n_unreadable:
        raise ValueError(f"{n_unreadable} of {len(paths)} photos could not be read")


def _write(photo: "PhotoResult", out: Path | None, save_crops: Path | None, stems: Stems, *, blur: bool) -> str | None:
    """Write the picture and the crops of a photo; return the error if it can no longer be read."""
    from maskkit.exceptions import ImageError

    try:
        if out is None:
            stem = stems.take(photo.name)
        else:
            stem = stems.save(photo.name, out, partial(photo.save, blur=blur)).stem
        if save_crops is not None:
            photo.save_crops(os.fspath(save_crops), stem=stem)
    except ImageError as exc:
        return str(exc)
    return None
