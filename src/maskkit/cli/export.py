"""maskkit export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maskkit.cli._options import DEFAULT_MODEL, OUTPUT_GROUP, ModelOption, find_images, load_model

CHECK_GROUP = "Check"


class ExportFormat(StrEnum):
    """What other programs read."""

    ONNX = "onnx"
    OPENVINO = "openvino"


def export(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder that is written.", rich_help_panel=OUTPUT_GROUP)
    ],
    model: ModelOption = DEFAULT_MODEL,
    output_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            "-f",
            metavar="onnx|openvino",
            help="For which programs.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = ExportFormat.ONNX,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Compute in int8, calibrated on --images; OpenVINO only.", rich_help_panel=OUTPUT_GROUP
        ),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of face crops like those to come, to calibrate and check on.",
            rich_help_panel=CHECK_GROUP,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Compare with float32 torch before anything is written; done if not said otherwise.",
            show_default=False,
            rich_help_panel=CHECK_GROUP,
        ),
    ] = True,
) -> None:
    """Write a model as one file that needs no maskkit.

    It takes uint8 RGB crops and gives probabilities; preprocessing is inside.

    Example: maskkit export --format onnx --images faces/Validation --out exported
    """
    import json

    from rich.filesize import decimal

    from maskkit._export.export import SPEC_FILE, export as write

    sources = None if images is None else find_images([str(images)])
    folder = write(load_model(model), out, output_format=output_format.value, int8=int8, images=sources, check=check)
    parity = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))["parity"]
    print(
        f"{parity['equal_labels']:.2%} of {parity['n_images']:,} labels equal those of float32 torch ({parity['on']})"
    )
    print(f"largest difference of a probability: {parity['largest_difference']:.1e}")
    for file in sorted(folder.iterdir()):
        print(f"written: {file} ({decimal(file.stat().st_size)})")
