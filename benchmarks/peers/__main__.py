"""The benchmark as a command: python -m benchmarks.peers FACES [PHOTOS]."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli import run_command
from maskkit.cli._complete import complete_backbone
from maskkit.cli._options import (
    DEFAULT_MODEL,
    MODEL_GROUP,
    OUTPUT_GROUP,
    Format,
    FormatOption,
    ModelOption,
    TrainSplitOption,
    choose_split,
    contains_photos,
    load_model,
    print_results,
)

MEASURE_GROUP = "What to measure"


def benchmark(
    faces: Annotated[Path, typer.Argument(help="Folder of face crops, as for train.", metavar="FACES")],
    photos: Annotated[
        Path | None,
        typer.Argument(help="Folder of photos with VOC annotations.", metavar="PHOTOS", show_default=False),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="ROW,ROW",
            help="Of fit, finetune, accuracy, crossval, predict, photos, memory, scaling, parity. By default all; "
            "accuracy and photos need PHOTOS.",
            rich_help_panel=MEASURE_GROUP,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Take few images, for a first look: its figures say little.",
            rich_help_panel=MEASURE_GROUP,
        ),
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Turns of each side; 3, or 1 with --quick.", rich_help_panel=MEASURE_GROUP
        ),
    ] = None,
    split: TrainSplitOption = None,
    model: ModelOption = DEFAULT_MODEL,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="resnet50 and efficientnet_lite0, or others. Repeatable.",
            autocompletion=complete_backbone,
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="What backbones start from: imagenet, or none (random), which is as fast.",
            autocompletion=lambda: ["imagenet", "none"],
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "imagenet",
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write everything to this JSON file, from the first row on.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure speed beside what one would write without maskkit.

    It takes an hour if not --quick. Every figure is a ratio taken in one run, on this machine.

    Example: python -m benchmarks.peers faces --quick

    Example: python -m benchmarks.peers faces photos --json benchmark.json
    """
    from dataclasses import replace

    from benchmarks.peers import FULL, PHOTO_ROWS, QUICK, ROWS, measure
    from maskkit.datasets import load_faces, load_photos
    from maskkit.exceptions import DataError

    wanted = None if rows is None else [row.strip() for row in rows.split(",")]
    if unknown := [row for row in wanted or () if row not in ROWS]:
        raise typer.BadParameter(f"{', '.join(map(repr, unknown))}; there is {', '.join(ROWS)}", param_hint="--rows")
    if photos is None and (lost := [row for row in wanted or () if row in PHOTO_ROWS]):
        raise typer.BadParameter(f"{', '.join(lost)} needs PHOTOS too", param_hint="--rows")
    if weights not in ("imagenet", "none"):
        raise typer.BadParameter(f"{weights!r}; want imagenet or none", param_hint="--weights")
    if contains_photos(faces):
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
    document = result.to_dict()
    print_results(output, table=result, document=document, rows=document["rows"] or document["parity"])


def _write(found: object, path: Path) -> None:
    import json

    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark: exit 1 and one line for a user's mistake, 2 for bad usage."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(benchmark)
    run_command(app, arguments, prog_name="python -m benchmarks.peers")


if __name__ == "__main__":
    main()
