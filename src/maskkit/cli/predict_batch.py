"""maskkit predict-batch."""

from enum import StrEnum
from typing import Annotated

import typer

from maskkit.cli._options import (
    DATA_GROUP,
    DEFAULT_MODEL,
    OUTPUT_GROUP,
    DetectorOption,
    DeviceOption,
    ModelOption,
    load_model,
)

WORK_GROUP = "Work"


class BatchFormat(StrEnum):
    """How parts are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


def predict_batch(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, files, quoted patterns or Parquet tables; paths or URLs.", metavar="SOURCE..."),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder or URL that parts of results are written to.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ],
    crops: Annotated[
        bool, typer.Option("--crops", help="Each image is one face; look for none.", rich_help_panel=DATA_GROUP)
    ] = False,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of a table that holds paths or bytes of images.",
            rich_help_panel=DATA_GROUP,
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    output: Annotated[
        BatchFormat,
        typer.Option(
            "--format", "-f", metavar="parquet|jsonl", help="How to write results.", rich_help_panel=OUTPUT_GROUP
        ),
    ] = BatchFormat.PARQUET,
    part_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images a part.", rich_help_panel=OUTPUT_GROUP)
    ] = 10_000,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Copies of the model that share all cores. By default one for 4 cores.",
            rich_help_panel=WORK_GROUP,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Ray cluster: auto, local or HOST:PORT. By default one found, or this machine.",
            autocompletion=lambda: ["auto", "local"],
            rich_help_panel=WORK_GROUP,
        ),
    ] = None,
) -> None:
    """Do as predict, for very many photos or on many machines.

    Results are written in parts; run it again to go on where it was interrupted. Needs the extra ray.

    Example: maskkit predict-batch photos/ --out faces
    """
    from maskkit import predict_batch

    classifier = load_model(model, detector=detector, device=device)
    summary = predict_batch(
        classifier,
        sources,
        out,
        crops=crops,
        column=column,
        output_format=output.value,
        part_size=part_size,
        workers=workers,
        address=address,
        verbose=0 if quiet else 1,
    )
    typer.echo(str(summary))
