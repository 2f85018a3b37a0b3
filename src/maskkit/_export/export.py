"""A trained model as one file that needs no maskkit: ONNX or OpenVINO, preprocessing inside, checked."""

import copy
import json
import os
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._files.atomic import check_writable, write_folder
from maskkit._images.crop import MARGIN
from maskkit._images.hashing import hash_file
from maskkit._images.load import check_images
from maskkit._images.prefetch import prefetch_map
from maskkit._images.preprocess import Preprocess
from maskkit._model.classifier import MaskClassifier
from maskkit._model.head import TransferHead
from maskkit._model.predictor import FacePredictor
from maskkit._optional import require
from maskkit.engines import convert, quantize, read_quantized
from maskkit.engines._compile import openvino
from maskkit.exceptions import EngineError
from maskkit.testing import make_faces

SPEC_FILE = "spec.json"
INPUT, OUTPUT = "images", "probabilities"

# Of opset 18 and later, all operations here are in; onnxruntime reads it since 1.14 (2023).
ONNX_OPSET = 18

# Float formats differ by rounding: probabilities by so much, labels only where two are as close as that.
_FLOAT_TOLERANCE = 1e-3
# What int8 must keep of the labels to be called the same model.
_INT8_EQUAL = 0.99

_N_DRAWN = 64

Probabilities = NDArray[np.floating[Any]]


def export(
    classifier: MaskClassifier,
    folder: str | os.PathLike[str],
    *,
    output_format: Literal["onnx", "openvino"] = "onnx",
    int8: bool = False,
    images: Any = None,
    check: bool = True,
) -> Path:
    """Write a fitted classifier of face crops as a file for other programs.

    The graph takes uint8 RGB images (n, S, S, 3) and gives probabilities (n, n_classes), float32;
    normalising, backbone, head and softmax are inside. ``spec.json`` beside it says all that a caller
    has to know: how to cut and resize faces, the classes in order, thresholds, and the parity measured.

    Parameters
    ----------
    classifier : MaskClassifier
        With a `TransferHead`.
    folder : path
        Made, or replaced if it is such an export.
    output_format : {"onnx", "openvino"}, default="onnx"
    int8 : bool, default=False
        The backbone in int8; OpenVINO only. Calibrated on `images`, unless the model has its int8 already.
    images : sequence of images, optional
        Face crops like those to come, to calibrate and to check on; by default drawn ones, to check on.
    check : bool, default=True
        Compare with float32 torch, and write nothing if labels differ: in float formats any that is not
        a matter of rounding, in int8 more than 1 %.

    Returns
    -------
    folder : Path

    Raises
    ------
    ValueError
        If the head is no TransferHead, or parameters exclude each other.
    EngineError
        If a package is missing, the network cannot be converted, or the check fails.
    ModelFileError
        If the folder is something else, or cannot be written.
    """
    folder = Path(folder)
    predictor = classifier.predictor_
    _refuse(predictor, folder, output_format, int8=int8, images=images)
    preprocess = predictor.embedder.backbone.preprocess
    sources = check_images(images) if images is not None else make_faces(_N_DRAWN, random_state=0)[0]
    pixels = np.stack(list(prefetch_map(preprocess.load, sources)))
    network = _join_networks(predictor)
    write = _write_onnx if output_format == "onnx" else _write_openvino
    with write_folder(folder) as new:
        predict = write(predictor, network, new, pixels if images is not None else None, int8)
        parity = _compare(network, preprocess, pixels, predict)
        parity["on"] = "given images" if images is not None else "drawn faces"
        if check:
            _judge(parity, int8=int8)
        spec = _specify(predictor, new, parity, output_format=output_format, int8=int8)
        (new / SPEC_FILE).write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def _join_networks(predictor: FacePredictor) -> nn.Module:
    """Return backbone, head and softmax as one network on the CPU; the originals stay where they are."""
    parts = (copy.deepcopy(network).cpu() for network in (predictor.embedder.backbone.network, predictor.head.network_))
    return nn.Sequential(*parts, nn.Softmax(dim=1)).eval()


def _refuse(predictor: FacePredictor, folder: Path, output_format: str, *, int8: bool, images: Any) -> None:
    if output_format not in ("onnx", "openvino"):
        raise ValueError(f"output_format={output_format!r} is unknown; use 'onnx' or 'openvino'.")
    if not isinstance(predictor.head, TransferHead):
        raise ValueError(f"export writes a TransferHead, not {type(predictor.head).__name__}; train one.")
    if int8 and output_format == "onnx":
        raise ValueError("int8 is written for OpenVINO only; use the format 'openvino'.")
    if int8 and images is None and predictor.embedder.backbone.quantized is None:
        raise ValueError("int8 has to be calibrated; pass images like those to come.")
    check_writable(
        folder,
        "export",
        is_ours=lambda folder: (folder / SPEC_FILE).is_file(),
        files=(SPEC_FILE, "model.onnx", "model.xml", "model.bin"),
    )


class _WithPreprocessing(nn.Module):
    """A network of uint8 (n, S, S, 3)."""

    def __init__(self, network: nn.Module, preprocess: Preprocess):
        super().__init__()
        self.network = network
        self.mean, self.std = (
            nn.Parameter(torch.tensor(values).mul(255).view(1, 3, 1, 1), requires_grad=False)
            for values in (preprocess.mean, preprocess.std)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        return self.network((pixels - self.mean) / self.std)


def _write_onnx(
    predictor: FacePredictor, network: nn.Module, folder: Path, pixels: NDArray[np.uint8] | None, int8: bool
) -> Callable[[NDArray[np.uint8]], Probabilities]:
    # torch.onnx imports onnxscript.
    onnx, onnxruntime, _ = (require(library, "onnx") for library in ("onnx", "onnxruntime", "onnxscript"))
    preprocess = predictor.embedder.backbone.preprocess
    size = preprocess.image_size
    file = folder / "model.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about torch's own inner workings
        torch.onnx.export(
            _WithPreprocessing(network, preprocess).eval(),
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            file,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=ONNX_OPSET,
            external_data=False,
            verbose=False,
        )
    onnx.checker.check_model(str(file))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda batch: session.run([OUTPUT], {INPUT: batch})[0]


def _write_openvino(
    predictor: FacePredictor, network: nn.Module, folder: Path, pixels: NDArray[np.uint8] | None, int8: bool
) -> Callable[[NDArray[np.uint8]], Probabilities]:
    backbone = predictor.embedder.backbone
    if int8:
        kept = backbone.quantized
        quantized = kept if pixels is None else quantize(backbone.network, backbone.preprocess, list(pixels))
        assert quantized is not None  # _refuse saw to it
        model = _append_head(read_quantized(quantized), predictor.head)
    else:
        model = convert(network, backbone.preprocess)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    file = folder / "model.xml"
    try:
        openvino.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as exc:  # all that it says of a full disk
        raise OSError(f"OpenVINO: {exc}") from exc
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: compiled([batch])[0].copy()


def _append_head(model: Any, head: TransferHead) -> Any:
    """Put a head's linear layers and softmax behind a backbone; dropout does nothing in prediction."""
    ops = openvino.opset13
    values = model.outputs[0].get_node().input_value(0)
    for layer in head.network_:
        if isinstance(layer, nn.Linear):
            weight, bias = (parameter.detach().numpy() for parameter in (layer.weight, layer.bias))
            values = ops.add(ops.matmul(values, ops.constant(weight), False, True), ops.constant(bias[None]))
    return openvino.Model([ops.softmax(values, 1)], model.get_parameters())


def _compare(
    network: nn.Module,
    preprocess: Preprocess,
    pixels: NDArray[np.uint8],
    predict: Callable[[NDArray[np.uint8]], Probabilities],
) -> dict[str, Any]:
    """Measure how far an export is from float32 torch; in batches of several sizes."""
    parts = np.split(pixels, [1, *range(32, len(pixels), 32)]) if len(pixels) > 1 else [pixels]
    with torch.inference_mode():
        wanted = np.concatenate([network(preprocess.normalize(part, torch.device("cpu"))).numpy() for part in parts])
    got = np.concatenate([predict(part) for part in parts])
    first, second = np.sort(wanted, axis=1)[:, ::-1][:, :2].T
    differs = wanted.argmax(axis=1) != got.argmax(axis=1)
    return {
        "against": "torch, float32",
        "n_images": len(pixels),
        "equal_labels": float(1 - differs.mean()),
        "largest_difference": float(np.abs(wanted - got).max()),
        "largest_margin_of_other_labels": float((first - second)[differs].max(initial=0)),
    }


def _judge(parity: dict[str, Any], *, int8: bool) -> None:
    """Raise EngineError if an export is not the same model."""
    equal, off = parity["equal_labels"], parity["largest_difference"]
    is_same = equal >= _INT8_EQUAL if int8 else off <= _FLOAT_TOLERANCE
    if not is_same:
        wanted = f"labels are to be at least {_INT8_EQUAL:.0%}" if int8 else f"that is to be {_FLOAT_TOLERANCE} at most"
        raise EngineError(
            f"the export is not the model: {equal:.2%} of {parity['n_images']} labels are equal, probabilities differ "
            f"by up to {off:.4f}; {wanted}. Nothing was written; check=False writes it nevertheless."
        )


def _specify(
    predictor: FacePredictor, folder: Path, parity: dict[str, Any], *, output_format: str, int8: bool
) -> dict[str, Any]:
    size = predictor.embedder.backbone.preprocess.image_size
    return {
        "model": predictor.model_name,
        "maskkit": version("maskkit"),
        "format": output_format,
        "precision": "int8" if int8 else "float32",
        "input": {
            "name": INPUT,
            "shape": ["n", size, size, 3],
            "dtype": "uint8",
            "colour": "RGB",
            "crop": f"square around a face's box, {MARGIN} times its longer side",
            "resize": f"the whole crop to {size} x {size} px, bilinear with antialiasing (Pillow's BILINEAR)",
        },
        "output": {"name": OUTPUT, "shape": ["n", len(predictor.classes)], "dtype": "float32"},
        "classes": predictor.classes.tolist(),
        "uncertain_below": predictor.rule.threshold,
        "min_size_px": predictor.rule.min_size_px,
        "parity": parity,
        "files": {path.name: {"sha256": hash_file(path)} for path in sorted(folder.iterdir())},
    }
