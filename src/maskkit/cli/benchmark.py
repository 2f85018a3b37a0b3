"""maskkit benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._options import (
    DEFAULT_MODEL,
    ModelOption,
    SplitOption,
    choose_split,
    holds_photos,
    load_model,
    print_json,
)
from maskkit.cli.data import Format


def benchmark(
    faces: Annotated[Path, typer.Argument(help="Folder of face crops, as for train.", metavar="FACES")],
    photos: Annotated[
        Path | None,
        typer.Argument(help="Folder of photos with VOC annotations.", metavar="PHOTOS", show_default=False),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Of fit, finetune, accuracy, crossval, predict, photos, memory, scaling, parity, with commas between "
            "them. By default all; accuracy and photos need PHOTOS."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take few images, for a first look: its figures say little.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each side; 3, or 1 with --quick.")] = None,
    backbone: Annotated[
        list[str] | None, typer.Option(help="resnet50 and efficientnet_lite0, or others. Repeatable.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="What backbones start from: imagenet, or none (random), which is as fast.")
    ] = "imagenet",
    model: ModelOption = DEFAULT_MODEL,
    split: SplitOption = None,
    json: Annotated[
        Path | None, typer.Option(help="Write everything to this JSON file, from the first row on.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print the results.")] = Format.TABLE,
) -> None:
    """Measure how fast this machine is beside what one would write without maskkit; an hour if not --quick.

    Example: maskkit benchmark face-mask-12k face-mask-photos --json benchmark.json
    """
    from dataclasses import replace

    from maskkit.benchmark import FULL, PHOTO_ROWS, QUICK, ROWS, measure
    from maskkit.datasets import load_faces, load_photos
    from maskkit.exceptions import DataError

    wanted = None if rows is None else [row.strip() for row in rows.split(",")]
    if unknown := [row for row in wanted or () if row not in ROWS]:
        raise typer.BadParameter(f"{', '.join(map(repr, unknown))}; there is {', '.join(ROWS)}", param_hint="--rows")
    if photos is None and (lost := [row for row in wanted or () if row in PHOTO_ROWS]):
        raise typer.BadParameter(f"{', '.join(lost)} needs PHOTOS too", param_hint="--rows")
    if weights not in ("imagenet", "none"):
        raise typer.BadParameter(f"{weights!r}; want imagenet or none", param_hint="--weights")
    if holds_photos(faces):
        raise DataError(f"{faces}: holds annotated photos; want face crops first, and photos after them.")
    crops = choose_split(load_faces(faces), split, default="train")
    sizes = QUICK if quick else FULL
    results = measure(
        load_model(model),
        crops.paths,
        crops.labels,
        () if photos is None else load_photos(photos),
        rows=wanted,
        backbones=backbone or ("resnet50", "efficientnet_lite0"),
        weights=None if weights == "none" else weights,
        sizes=sizes if rounds is None else replace(sizes, n_rounds=rounds),
        say=lambda text: typer.echo(text, err=True),
    )
    for result in results:
        if json is not None:
            _write(result.to_dict(), json)
    if json is not None:
        typer.echo(f"written: {json}", err=True)
    if output is Format.JSON:
        print_json(result.to_dict())
    else:
        import rich

        rich.print(result)


def _write(found: object, path: Path) -> None:
    import json

    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
