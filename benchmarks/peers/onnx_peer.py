"""Peer of `predict_photos`: the same steps in ONNX Runtime, one photo at a time."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from benchmarks.peers.torch_peer import plain_copy
from maskkit._images.crop import crop_square
from maskkit._images.preprocess import Preprocess
from maskkit._model.classifier import MaskClassifier
from maskkit.detectors import MaskkitDetector
from maskkit.detectors._heatmap import HeatmapDetector
from maskkit.detectors._runner import Cells, select_cells


class OnePhotoAtATime:
    """Detects and classifies the faces of a photo with two sessions of ONNX Runtime.

    Parameters
    ----------
    model : MaskClassifier
        Fitted classifier with a `TransferHead`; the settings of its detector are used.
    folder : Path
        Folder for the two ONNX files.
    """

    def __init__(self, model: MaskClassifier, folder: Path):
        detector = model.detector_
        self.settings = detector if isinstance(detector, HeatmapDetector) else MaskkitDetector()
        self.preprocess: Preprocess = model.embedder_.preprocess_
        self.classes = model.classes_.tolist()
        self.network = _OnnxRunner(_write_detector(self.settings, folder / "detector.onnx"))
        self.classifier = _open(_write_classifier(model, folder / "classifier.onnx"))

    def read(self, path: Path) -> list[Any]:
        """Return the label of each face of a photo."""
        with Image.open(path) as picture:
            image = np.array(picture.convert("RGB"))
        crops = [self._prepare(crop_square(image, box)) for box in self._detect(image)]
        if not crops:
            return []
        (proba,) = self.classifier.run(None, {"pixels": np.stack(crops)})
        return [self.classes[index] for index in proba.argmax(axis=1)]

    def _detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        (faces,) = self.settings._search(self.network, [image])
        # Boxes are rounded and clipped to the photo, as in the results of maskkit.
        height_px, width_px = image.shape[:2]
        limits = np.array([width_px, height_px, width_px, height_px], dtype=np.float32)
        rounded: NDArray[np.float32] = np.rint(faces.boxes_xyxy).clip(0, limits)
        return rounded[(rounded[:, 2:] > rounded[:, :2]).all(axis=1)]

    def _prepare(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = (self.preprocess.image_size, self.preprocess.image_size)
        pixels = np.asarray(
            Image.fromarray(crop).resize(size, Image.Resampling.BILINEAR), dtype=np.float32
        ) / np.float32(255)
        mean, std = (np.array(value, dtype=np.float32) for value in (self.preprocess.mean, self.preprocess.std))
        scaled: NDArray[np.float32] = (pixels - mean) / std
        return scaled.transpose(2, 0, 1)


class _OnnxRunner:
    """Runs the face network in ONNX Runtime, one tile at a time."""

    max_pixels = 0

    def __init__(self, path: Path):
        self.session = _open(path)

    def find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        channels_first = pixels.transpose(0, 3, 1, 2).astype(np.float32)
        return select_cells(self.session.run(None, {"pixels": channels_first}), threshold)


def _open(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _write_detector(settings: HeatmapDetector, path: Path) -> Path:
    network = settings._read_network(settings._weights_path()).eval()
    outputs = ("heat", "log_sizes", "offsets", "landmarks")
    axes = {name: {0: "n", 2: f"{name}_height", 3: f"{name}_width"} for name in ("pixels", *outputs)}
    return _export(network, torch.zeros(1, 3, 64, 64), path, outputs, axes)


def _write_classifier(model: MaskClassifier, path: Path) -> Path:
    network = nn.Sequential(
        plain_copy(model.embedder_.network_), plain_copy(model.head_.network_), nn.Softmax(dim=1)
    ).eval()
    size = model.embedder_.preprocess_.image_size
    axes = {"pixels": {0: "n"}, "proba": {0: "n"}}
    return _export(network, torch.zeros(1, 3, size, size), path, ("proba",), axes)


def _export(
    network: nn.Module, pixels: Tensor, path: Path, outputs: Sequence[str], dynamic_axes: dict[str, dict[int, str]]
) -> Path:
    with warnings.catch_warnings():
        # The old exporter is deprecated; the new one needs another package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (pixels,),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=list(outputs),
            dynamic_axes=dynamic_axes,
        )
    return path
