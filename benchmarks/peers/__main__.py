"""The benchmark as a command: python -m benchmarks.peers FACES [PHOTOS]."""

from pathlib import Path
from typing import Annotated

import typer

from maskkit import _plugins
from maskkit.cli import run_command
from maskkit.cli._inputs import are_photos, choose_split, load_data, load_model
from maskkit.cli._options import (
    DEFAULT_MODEL,
    MODEL_GROUP,
    OUTPUT_GROUP,
    FormatOption,
    ModelOption,
    TrainSplitOption,
)
from maskkit.cli._outputs import print_results

MEASURE_GROUP = "Measurement"


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
            help="Rows: fit, finetune, accuracy, crossval, predict, photos, memory, scaling, parity. By default all; "
            "accuracy and photos need PHOTOS.",
            rich_help_panel=MEASURE_GROUP,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Use few images, for a quick test; the ratios are not meaningful.",
            rich_help_panel=MEASURE_GROUP,
        ),
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Number of rounds. By default 3, or 1 with --quick.", rich_help_panel=MEASURE_GROUP
        ),
    ] = None,
    split: TrainSplitOption = None,
    model: ModelOption = DEFAULT_MODEL,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Backbone; repeatable. By default resnet50 and efficientnet_lite0.",
            autocompletion=lambda: _plugins.names("backbones"),
            rich_help_panel=MODEL_GROUP,
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="Initial weights of the backbones: imagenet, or none (random), which is equally fast.",
            autocompletion=lambda: ["imagenet", "none"],
            rich_help_panel=MODEL_GROUP,
        ),
    ] = "imagenet",
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON file for the results, updated after each row.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    output: FormatOption = "table",
) -> None:
    """Compare speed with plain PyTorch, skorch and ONNX Runtime.

    Takes an hour without --quick. Every result is a ratio measured in one run on this machine.

    Example: python -m benchmarks.peers faces --quick

    Example: python -m benchmarks.peers faces photos --json benchmark.json
    """
    from dataclasses import replace

    from benchmarks.peers.rows import PHOTO_ROWS, ROWS, measure
    from benchmarks.peers.subjects import FULL, QUICK
    from maskkit.datasets import load_photos
    from maskkit.exceptions import DataError

    chosen = None if rows is None else [row.strip() for row in rows.split(",")]
    if unknown := [row for row in chosen or () if row not in ROWS]:
        raise typer.BadParameter(f"{', '.join(map(repr, unknown))}; choose from {', '.join(ROWS)}", param_hint="--rows")
    if photos is None and (excluded := [row for row in chosen or () if row in PHOTO_ROWS]):
        raise typer.BadParameter(f"{', '.join(excluded)} needs PHOTOS", param_hint="--rows")
    if weights not in ("imagenet", "none"):
        raise typer.BadParameter(f"{weights!r}; want imagenet or none", param_hint="--weights")
    found = load_data(faces)
    if are_photos(found):
        raise DataError(f"{faces}: contains annotated photos; pass face crops first, and photos after them.")
    crops = choose_split(found, split, default="train")
    sizes = QUICK if quick else FULL
    results = measure(
        load_model(model),
        crops.paths,
        crops.labels,
        () if photos is None else load_photos(photos),
        rows=chosen,
        backbones=backbone or ("resnet50", "efficientnet_lite0"),
        weights=None if weights == "none" else weights,
        sizes=sizes if rounds is None else replace(sizes, n_rounds=rounds),
        report=lambda text: typer.echo(text, err=True),
    )
    for result in results:
        if json is not None:
            _write(result.to_dict(), json)
    if json is not None:
        typer.echo(f"written: {json}", err=True)
    document = result.to_dict()
    print_results(output, table=result, document=document, rows=document["rows"] or document["parity"])


def _write(document: object, path: Path) -> None:
    import json

    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark; exit with 1 and a message for an expected error, 2 for wrong usage."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(benchmark)
    run_command(app, arguments, prog_name="python -m benchmarks.peers")


if __name__ == "__main__":
    main()
