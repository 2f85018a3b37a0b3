"""maskkit predict-batch."""

from typing import Annotated, Literal

import typer

from maskkit._text import escape_text
from maskkit.cli import _options as shared
from maskkit.cli._inputs import check_no_detection, load_model
from maskkit.cli._options import DATA_GROUP, OUTPUT_GROUP, option, out_option

CLUSTER_GROUP = "Cluster"


ColumnOption = Annotated[
    str | None, option("NAME", "Column of a Parquet table with the paths or the bytes of the images.", DATA_GROUP)
]
WorkersOption = Annotated[
    int | None,
    option(
        "N",
        "Number of worker processes, each with a copy of the model. By default one per 4 cores.",
        CLUSTER_GROUP,
        min=1,
    ),
]
AddressOption = Annotated[
    str | None,
    option(
        "ADDRESS",
        "Ray cluster: auto, local or HOST:PORT. By default a running cluster, or else this machine.",
        CLUSTER_GROUP,
        autocompletion=lambda: ["auto", "local"],
    ),
]


def predict_batch(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, files, quoted patterns or Parquet tables; paths or URLs.", metavar="SOURCE"),
    ],
    out: Annotated[str, out_option("DIR", "Folder or URL to write to.")],
    crops: shared.CropsOption = False,
    column: ColumnOption = None,
    max_pixels: shared.MaxPixelsOption = None,
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    threshold: shared.ThresholdOption = None,
    min_size: shared.MinSizeOption = None,
    max_faces: shared.MaxFacesOption = None,
    device: shared.DeviceOption = "auto",
    output: Annotated[
        Literal["parquet", "jsonl"], option("FORMAT", "File format: parquet or jsonl.", OUTPUT_GROUP, "--format", "-f")
    ] = "parquet",
    part_size: Annotated[int, option("N", "Number of images per file.", OUTPUT_GROUP, min=1)] = 10_000,
    quiet: shared.QuietOption = False,
    workers: WorkersOption = None,
    address: AddressOption = None,
) -> None:
    r"""Classify faces in very many photos, in parallel with Ray.

    It runs on one machine or on a cluster. Results are written in parts. If the
    run is interrupted, run the same command again to resume.
    Requires pip install 'maskkit\[ray]'.

    Example: maskkit predict-batch photos/ --out faces
    """
    from maskkit import predict_batch

    if crops:
        check_no_detection(
            "crops of one face each", detector=detector, detector_size=detector_size, max_faces=max_faces
        )
    classifier = load_model(
        model, detector=detector, detector_size=detector_size, device=device, threshold=threshold, min_size_px=min_size
    )
    summary = predict_batch(
        classifier,
        sources,
        out,
        crops=crops,
        max_faces=max_faces,
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
