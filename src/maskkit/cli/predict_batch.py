"""maskkit predict-batch."""

from enum import StrEnum
from typing import Annotated

import typer

from maskkit.cli._options import DEFAULT_MODEL, DetectorOption, DeviceOption, ModelOption, load_model


class BatchFormat(StrEnum):
    """How parts are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


def predict_batch(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, files, quoted patterns or Parquet tables; paths or URLs.", metavar="SOURCE..."),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder or URL that parts of results are written to.")],
    model: ModelOption = DEFAULT_MODEL,
    crops: Annotated[bool, typer.Option("--crops", help="Each image is one face; look for none.")] = False,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    column: Annotated[str | None, typer.Option(help="Column of a table that holds paths or bytes of images.")] = None,
    output: Annotated[BatchFormat, typer.Option("--format", "-f", help="How to write results.")] = BatchFormat.PARQUET,
    part_size: Annotated[int, typer.Option(min=1, help="Images a part.")] = 10_000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Copies of the model that share all cores. By default one for 4 cores.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto, local or HOST:PORT. By default one found, or this machine.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Do as predict for very many photos, on one machine or a Ray cluster; run it again to go on.

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
