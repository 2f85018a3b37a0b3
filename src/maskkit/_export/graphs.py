"""ONNX files of the classifier and of the detector, which take uint8 images."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._images.preprocess import Preprocess
from maskkit._model.face_density import FaceDensity
from maskkit._optional import require
from maskkit.detectors._network import STEP_PX, FaceNetwork

# Contains all operations used here; supported by onnxruntime since 1.14 (2023).
ONNX_OPSET = 18

INPUT, OUTPUT, DISTANCES = "images", "probabilities", "distances"
MAPS = ("heat", "log_sizes", "offsets", "landmarks")


class OnnxFile:
    """A written ONNX file, run by onnxruntime."""

    def __init__(self, file: Path) -> None:
        onnxruntime = require("onnxruntime", "onnx")
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(self, images: NDArray[np.uint8], *names: str) -> list[NDArray[np.float32]]:
        """Return the outputs of these names; all without names."""
        outputs: list[NDArray[np.float32]] = self.session.run(list(names) or None, {INPUT: images})
        return outputs

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities."""
        return self.run(images, OUTPUT)[0]


def write_classifier(
    file: Path,
    network: nn.Sequential,
    preprocess: Preprocess,
    metadata: Mapping[str, str],
    density: FaceDensity | None = None,
) -> OnnxFile:
    """Write backbone, head and softmax, with the normalization; with a density, the distances are a second output."""
    size = preprocess.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    graph = _WithPreprocessing(network if density is None else WithDistances(network, density), preprocess)
    outputs = (OUTPUT,) if density is None else (OUTPUT, DISTANCES)
    return _write(file, graph, example, {0: torch.export.Dim("n")}, outputs, metadata)


def write_detector(file: Path, network: FaceNetwork, metadata: Mapping[str, str]) -> OnnxFile:
    """Write the face network, which takes images of any size whose sides are multiples of `STEP_PX`."""
    example = torch.zeros(2, 2 * STEP_PX, 3 * STEP_PX, 3, dtype=torch.uint8)
    n, rows, columns = (torch.export.Dim(name) for name in ("n", "rows", "columns"))
    return _write(file, FromPixels(network), example, {0: n, 1: STEP_PX * rows, 2: STEP_PX * columns}, MAPS, metadata)


def _write(
    file: Path,
    network: nn.Module,
    example: torch.Tensor,
    dynamic_shape: Mapping[int, Any],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
) -> OnnxFile:
    # torch.onnx imports onnxscript.
    onnx, _, _ = (require(library, "onnx") for library in ("onnx", "onnxruntime", "onnxscript"))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # The warnings are deprecations inside torch itself.
        torch.onnx.export(
            network.eval(),
            (example,),
            file,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=(dict(dynamic_shape),),
            opset_version=ONNX_OPSET,
            external_data=False,
            verbose=False,
        )
    _clean(file, metadata, onnx)
    onnx.checker.check_model(str(file))
    return OnnxFile(file)


def _clean(file: Path, metadata: Mapping[str, str], onnx: Any) -> None:
    """Replace the metadata of an ONNX file: torch stores paths and source lines of the builder at every node."""
    model = onnx.load(str(file))
    _remove_metadata(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(file))


def _remove_metadata(message: Any) -> None:
    """Remove the metadata and documentation of a protobuf message and of all messages in it."""
    for field in ("metadata_props", "doc_string"):
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                _remove_metadata(inner)


class _WithPreprocessing(nn.Module):
    """A network that takes uint8 images (n, S, S, 3)."""

    def __init__(self, network: nn.Module, preprocess: Preprocess):
        super().__init__()
        self.network = network
        self.mean, self.std = (
            nn.Parameter(torch.tensor(values).mul(255).view(1, 3, 1, 1), requires_grad=False)
            for values in (preprocess.mean, preprocess.std)
        )

    def forward(self, images: torch.Tensor) -> Any:
        pixels = images.permute(0, 3, 1, 2).float()
        return self.network((pixels - self.mean) / self.std)


class WithDistances(nn.Module):
    """Backbone, head and softmax, and as a second output the distance of features that `FaceDensity` measures."""

    def __init__(self, network: nn.Sequential, density: FaceDensity):
        super().__init__()
        self.backbone, self.head = network[0], network[1:]
        self.noise = float(density.noise_and_limit[0])
        for name in ("mean", "components", "variances"):
            self.register_buffer(name, torch.from_numpy(getattr(density, name).astype(np.float32)))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.backbone(pixels)
        centered = features - self.mean
        along = centered @ self.components.T
        rest = ((centered - along @ self.components) ** 2).sum(dim=1)
        return self.head(features), (along**2 / self.variances).sum(dim=1) + rest / self.noise


class FromPixels(nn.Module):
    """The face network for uint8 images (n, H, W, 3)."""

    def __init__(self, network: FaceNetwork):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> Any:
        return self.network(images.permute(0, 3, 1, 2).float())
