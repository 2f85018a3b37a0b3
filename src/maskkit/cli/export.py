"""maskkit export."""

import os
from pathlib import Path
from typing import Annotated, Literal

from maskkit.cli import _options as shared
from maskkit.cli._inputs import find_images, load_model
from maskkit.cli._options import OUTPUT_GROUP, flag, option, out_option
from maskkit.cli._outputs import print_written

CHECK_GROUP = "Check"


def export(
    out: Annotated[Path, out_option("DIR", "Folder to write to.")],
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    output_format: Annotated[
        Literal["onnx", "openvino"], option("FORMAT", "onnx or openvino.", OUTPUT_GROUP, "--format", "-f")
    ] = "onnx",
    bundle: Annotated[
        bool,
        flag(
            "--bundle",
            "Write a folder that detects and classifies the faces of photos without maskkit; ONNX only.",
            OUTPUT_GROUP,
        ),
    ] = False,
    int8: Annotated[
        bool, flag("--int8", "Quantize to int8, calibrated on --images; OpenVINO only.", OUTPUT_GROUP)
    ] = False,
    images: Annotated[
        Path | None, option("DIR", "Folder of typical face crops for calibration and the check.", CHECK_GROUP)
    ] = None,
    check: Annotated[
        bool,
        flag(
            "--check/--no-check",
            "Compare with the float32 PyTorch model before writing. By default --check.",
            CHECK_GROUP,
            show_default=False,
        ),
    ] = True,
) -> None:
    """Export a model to ONNX or OpenVINO.

    The exported model takes uint8 RGB face crops and returns probabilities.
    Preprocessing is included, so that it runs without maskkit.

    Example: maskkit export --format onnx --images faces/Validation --out exported

    Example: maskkit export --bundle --out bundle
    """
    import json

    from rich.filesize import decimal

    from maskkit._export.export import SPEC_FILE, export as write

    sources = None if images is None else find_images([str(images)])
    folder = write(
        load_model(model),
        os.fspath(out),
        output_format=output_format,
        int8=int8,
        images=sources,
        check=check,
        bundle=bundle,
    )
    parity = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))["parity"]
    print(
        f"{parity['equal_labels']:.2%} of {parity['n_images']:,} labels equal those of float32 torch ({parity['on']})"
    )
    print(f"largest difference of a probability: {parity['largest_difference']:.1e}")
    predict = parity["predict"]
    print(
        f"{predict['equal_decisions']:.2%} of decisions equal those of predict with precision={predict['precision']}; "
        f"largest difference of a probability: {predict['largest_difference']:.1e}"
    )
    for file in sorted(folder.iterdir()):
        print_written(f"{file} ({decimal(file.stat().st_size)})")
