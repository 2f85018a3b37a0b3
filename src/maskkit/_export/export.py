"""Export of a classifier to an ONNX or OpenVINO file that includes the preprocessing."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._export.bundle import BUNDLE_FILES, check_detector, describe_bundle, write_bundle
from maskkit._export.graphs import INPUT, OUTPUT, OnnxFile, write_classifier
from maskkit._export.spec import describe_export, metadata_of
from maskkit._files.atomic import check_writable, is_document, write_folder
from maskkit._images.hashing import hash_file
from maskkit._images.load import check_images
from maskkit._images.prefetch import prefetch_map
from maskkit._images.preprocess import Preprocess
from maskkit._model.classifier import MaskClassifier
from maskkit._model.head import TransferHead
from maskkit._model.predictor import FacePredictor
from maskkit._text import check_path, to_json
from maskkit.engines import convert, quantize, read_quantized
from maskkit.engines._compile import openvino
from maskkit.exceptions import EngineError, ModelFileError
from maskkit.testing import make_faces

SPEC_FILE, ONNX_FILE = "spec.json", "model.onnx"

# Largest difference of probabilities in float formats, which differ by rounding.
_FLOAT_TOLERANCE = 1e-3
# Smallest share of equal labels in int8.
_MIN_INT8_AGREEMENT = 0.99

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
    bundle: bool = False,
) -> Path:
    """Export a fitted classifier to files for other programs.

    The graph maps uint8 RGB images of faces (n, S, S, 3) to probabilities (n, n_classes), float32; it includes
    normalization, backbone, head and softmax. ``spec.json`` beside it documents how to crop and resize faces,
    the order of the classes, the thresholds and the measured parity.

    A bundle is a folder that also contains the detector, and programs that find and classify the faces of photos
    with it, without maskkit and PyTorch.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier with a `TransferHead`.
    folder : path
        Path to the folder, which is created, or replaced if it is such an export.
    output_format : {"onnx", "openvino"}, default="onnx"
        Format of the file.
    int8 : bool, default=False
        Whether to quantize the backbone to int8; OpenVINO only. It is calibrated on `images`; without them the
        int8 backbone of `MaskClassifier.quantize` is used.
    images : sequence of images, optional
        Face crops like those to be classified, for calibration and for the check. By default drawn faces are used
        for the check.
    check : bool, default=True
        Whether to compare with PyTorch in float32, and write nothing if the export differs: in float formats by
        more than 0.001 in any probability, in int8 in more than 1 % of the labels.
    bundle : bool, default=False
        Whether to write a bundle: the files ``detector.onnx``, ``classifier.onnx``, ``spec.json``,
        ``maskkit_bundle.py``, a page for browsers and ``README.md``. The detector must be `MaskkitDetector`, the
        format ONNX.

    Returns
    -------
    folder : Path
        Path to the folder.

    Raises
    ------
    ValueError
        If the head is not a `TransferHead`, the detector cannot be part of a bundle, or parameters contradict each
        other.
    EngineError
        If the network cannot be converted, or the check fails.
    MissingLibraryError
        If a library of the extra ``onnx`` or ``int8`` is not installed.
    ModelFileError
        If the folder is something else, or cannot be written.
    """
    folder = check_path(folder, ModelFileError)
    predictor = classifier.predictor_
    _check_arguments(predictor, folder, output_format, int8=int8, images=images, bundle=bundle)
    preprocess = predictor.embedder.backbone.preprocess
    sources = check_images(images) if images is not None else make_faces(_N_DRAWN, random_state=0)[0]
    pixels = np.stack(list(prefetch_map(preprocess.load, sources)))
    # Backbone, head and softmax on the CPU; the originals stay where they are.
    parts = (copy.deepcopy(network).cpu() for network in (predictor.embedder.backbone.network, predictor.head.network_))
    network = nn.Sequential(*parts, nn.Softmax(dim=1)).eval()
    spec = describe_export(predictor, output_format=output_format, int8=int8)
    if bundle:
        spec |= describe_bundle(predictor)
    write = _write_onnx if output_format == "onnx" else _write_openvino
    with write_folder(folder) as new:
        predict = write(predictor, network, new, pixels if images is not None else None, spec)
        parity = _compare(network, preprocess, pixels, predict)
        parity["on"] = "given images" if images is not None else "drawn faces"
        if isinstance(predict, OnnxFile) and bundle:
            parity |= write_bundle(predictor, new, spec, predict, pixels)
        if check:
            _check_parity(parity, int8=int8)
        parity["predict"] = _compare_with_predict(predictor, pixels, predict)
        spec |= {"parity": parity, "files": {path.name: {"sha256": hash_file(path)} for path in sorted(new.iterdir())}}
        (new / SPEC_FILE).write_bytes((to_json(spec, indent=2) + "\n").encode())
    return folder


def _check_arguments(
    predictor: FacePredictor, folder: Path, output_format: str, *, int8: bool, images: Any, bundle: bool
) -> None:
    if output_format not in ("onnx", "openvino"):
        raise ValueError(f"output_format={output_format!r} is unknown; use 'onnx' or 'openvino'.")
    if not isinstance(predictor.head, TransferHead):
        raise ValueError(
            f"export supports a TransferHead, not {type(predictor.head).__name__}; fit a MaskClassifier with head=None."
        )
    if int8 and output_format == "onnx":
        raise ValueError("int8 needs OpenVINO; use output_format='openvino'.")
    if int8 and images is None and predictor.embedder.backbone.quantized is None:
        raise ValueError("int8 needs calibration; pass images like those to be classified.")
    check_writable(
        folder,
        "export",
        is_ours=lambda folder: is_document(folder / SPEC_FILE, ("maskkit", "parity", "files")),
        files=(SPEC_FILE, ONNX_FILE, "model.xml", "model.bin", *BUNDLE_FILES),
    )
    if bundle and output_format != "onnx":
        raise ValueError(f"bundle=True writes ONNX files; use output_format='onnx', not {output_format!r}.")
    if bundle:
        check_detector(predictor)


def _write_onnx(
    predictor: FacePredictor, network: nn.Sequential, folder: Path, _: object, spec: dict[str, Any]
) -> OnnxFile:
    preprocess, density = predictor.embedder.backbone.preprocess, predictor.density if "bundle" in spec else None
    return write_classifier(folder / spec.get("file", ONNX_FILE), network, preprocess, metadata_of(spec), density)


def _write_openvino(
    predictor: FacePredictor, network: nn.Module, folder: Path, pixels: NDArray[np.uint8] | None, spec: dict[str, Any]
) -> Callable[[NDArray[np.uint8]], Probabilities]:
    backbone = predictor.embedder.backbone
    if spec["precision"] == "int8":
        quantized = (
            backbone.quantized if pixels is None else quantize(backbone.network, backbone.preprocess, list(pixels))
        )
        assert quantized is not None  # checked by _check_arguments
        model = _append_head(read_quantized(quantized), predictor.head)
    else:
        model = convert(network, backbone.preprocess)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    for key, value in metadata_of(spec).items():
        model.set_rt_info(value, ["model_info", key])
    file = folder / "model.xml"
    try:
        openvino.save_model(model, file, compress_to_fp16=False)
        compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as exc:  # The disk is full; OpenVINO 2025 finds that only when it reads the file.
        raise OSError(f"OpenVINO: {exc}") from exc
    return lambda batch: compiled([batch])[0].copy()


def _append_head(model: Any, head: TransferHead) -> Any:
    """Append the linear layers of a head and softmax to a backbone; dropout has no effect in prediction."""
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
    """Compare an export with PyTorch in float32, in batches of several sizes."""
    parts = np.split(pixels, [1, *range(32, len(pixels), 32)]) if len(pixels) > 1 else [pixels]
    with torch.inference_mode():
        expected = np.concatenate([network(preprocess.normalize(part, torch.device("cpu"))).numpy() for part in parts])
    actual = np.concatenate([predict(part) for part in parts])
    two_highest = np.partition(expected, -2, axis=1)[:, -2:]
    margins = two_highest[:, 1] - two_highest[:, 0]
    differs = expected.argmax(axis=1) != actual.argmax(axis=1)
    return {
        "against": "torch, float32",
        "n_images": len(pixels),
        "equal_labels": float(1 - differs.mean()),
        "largest_difference": float(np.abs(expected - actual).max()),
        "largest_margin_of_other_labels": float(margins[differs].max(initial=0)),
    }


def _compare_with_predict(
    predictor: FacePredictor, pixels: NDArray[np.uint8], predict: Callable[[NDArray[np.uint8]], Probabilities]
) -> dict[str, Any]:
    """Compare an export with `MaskClassifier.predict_proba` as it is set now, on the same resized faces."""
    settings = predictor.embedder.settings
    expected = predictor.predict_proba(list(pixels), are_crops=True)
    actual = np.concatenate([predict(part) for part in np.split(pixels, range(32, len(pixels), 32))])
    is_decided = [rows.max(axis=1) >= predictor.rule.threshold for rows in (expected, actual)]
    is_equal = expected.argmax(axis=1) == actual.argmax(axis=1)
    return {
        "engine": settings.engine,
        "precision": settings.precision,
        "equal_labels": float(is_equal.mean()),
        "equal_decisions": float(((is_equal | ~is_decided[0]) & (is_decided[0] == is_decided[1])).mean()),
        "largest_difference": float(np.abs(expected - actual).max()),
    }


def _check_parity(parity: dict[str, Any], *, int8: bool) -> None:
    """Raise EngineError if an export differs from its model by more than the tolerance."""
    for part, name in (("detector", "maps of the detector"), ("not_a_face", "distances of not_a_face")):
        if part in parity and not (difference := parity[part]["largest_difference"]) <= _FLOAT_TOLERANCE:
            raise EngineError(
                f"the export differs from the model: the {name} differ by up to {difference:.4f}; want "
                f"{_FLOAT_TOLERANCE} at most. Nothing was written; pass check=False to write it anyway."
            )
    agreement, difference = parity["equal_labels"], parity["largest_difference"]
    # The comparison is negated, because a difference of NaN must not pass.
    if agreement < _MIN_INT8_AGREEMENT if int8 else not difference <= _FLOAT_TOLERANCE:
        limit = f"a difference of {_FLOAT_TOLERANCE} at most"
        if int8:
            limit = f"at least {_MIN_INT8_AGREEMENT:.0%} equal labels"
        raise EngineError(
            f"the export differs from the model: {agreement:.2%} of {parity['n_images']} labels are equal, "
            f"probabilities differ by up to {difference:.4f}; want {limit}. Nothing was written; pass check=False "
            f"to write it anyway."
        )
