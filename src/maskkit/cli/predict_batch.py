"""maskkit predict-batch."""

from typing import Annotated, Literal

import typer

from maskkit._text import escape_text
from maskkit.cli._inputs import load_model
from maskkit.cli._options import (
    DATA_GROUP,
    DEFAULT_MODEL,
    OUTPUT_GROUP,
    CropsOption,
    DetectorOption,
    DetectorSizeOption,
    DeviceOption,
    MaxPixelsOption,
    ModelOption,
    QuietOption,
    option,
    out_option,
)

CLUSTER_GROUP = "Cluster"


def predict_batch(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, files, quoted patterns or Parquet tables; paths or URLs.", metavar="SOURCE"),
    ],
    out: Annotated[str, out_option("DIR", "Folder or URL to write to.")],
    crops: CropsOption = False,
    column: Annotated[
        str | None, option("NAME", "Column of a Parquet table with the paths or the bytes of the images.", DATA_GROUP)
    ] = None,
    max_pixels: MaxPixelsOption = None,
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    detector_size: DetectorSizeOption = None,
    device: DeviceOption = "auto",
    output: Annotated[
        Literal["parquet", "jsonl"], option("FORMAT", "File format: parquet or jsonl.", OUTPUT_GROUP, "--format", "-f")
    ] = "parquet",
    part_size: Annotated[int, option("N", "Number of images per file.", OUTPUT_GROUP, min=1)] = 10_000,
    quiet: QuietOption = False,
    workers: Annotated[
        int | None,
        option(
            "N",
            "Number of worker processes, each with a copy of the model. By default one per 4 cores.",
            CLUSTER_GROUP,
            min=1,
        ),
    ] = None,
    address: Annotated[
        str | None,
        option(
            "ADDRESS",
            "Ray cluster: auto, local or HOST:PORT. By default a running cluster, or else this machine.",
            CLUSTER_GROUP,
            autocompletion=lambda: ["auto", "local"],
        ),
    ] = None,
) -> None:
    r"""Classify faces in very many photos, in parallel with Ray.

    It runs on one machine or on a cluster. Results are written in parts. If the
    run is interrupted, run the same command again to resume.
    Requires pip install 'maskkit\[ray]'.

    Example: maskkit predict-batch photos/ --out faces
    """
    from maskkit import predict_batch

    classifier = load_model(model, detector=detector, detector_size=detector_size, device=device)
    summary = predict_batch(
        classifier,
        sources,
        out,
        crops=crops,
        column=column,
        output_format=output,
        part_size=part_size,
        max_px=max_pixels,
        workers=workers,
        address=address,
        verbose=0 if quiet else 1,
    )
    typer.echo(escape_text(str(summary)))
    if summary.n_unreadable:
        raise typer.Exit(1)
