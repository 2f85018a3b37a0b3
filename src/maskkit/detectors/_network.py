"""CenterFace's network as a PyTorch module."""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskkit._optional import require
from maskkit.exceptions import WeightsError

# Expansion, output channels, number of blocks and first stride of each stage of MobileNetV2: Sandler et al.:
# MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381, table 2. CenterFace replaces ReLU6.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# Stages whose outputs are merged, coarsest first, and their channels.
_MERGED = ((6, 320), (4, 96), (2, 32), (1, 24))
_NECK_CHANNELS = 24

N_CHANNELS = (1, 2, 2, 10)
"""Channels of the four output maps: heat, logarithms of height and width, offsets, landmarks."""

VERSION = 1
"""Changes with what the network computes from the same weights, so that no cached network outlives its code."""

CELL_PX = 4
"""Side of a cell of the output maps in pixels."""

STEP_PX = 32
"""Sides of the input are multiples of this: the image is halved five times on the way to the deepest layer."""


class FaceNetwork(nn.Module):
    """CenterFace: a MobileNetV2 whose stages are merged, coarse to fine, into maps of a quarter of the input's size.

    Batch normalization is folded into the convolutions. Source: Xu, Yan, Yang, Cao: CenterFace: Joint Face Detection
    and Alignment Using Face as Point, 2019, arXiv:1911.03599.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU())
        channels, stages = 32, []
        for expansion, out_channels, n_blocks, stride in _STAGES:
            blocks = [_Block(channels, out_channels, expansion, stride)]
            blocks += [_Block(out_channels, out_channels, expansion, 1) for _ in range(n_blocks - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = out_channels
        self.stages = nn.ModuleList(stages)
        neck = _NECK_CHANNELS
        self.laterals = nn.ModuleList(nn.Sequential(nn.Conv2d(n, neck, 1), nn.ReLU()) for _, n in _MERGED)
        self.ups = nn.ModuleList(nn.Sequential(nn.ConvTranspose2d(neck, neck, 2, 2), nn.ReLU()) for _ in _MERGED[1:])
        self.merged = nn.Sequential(nn.Conv2d(neck, neck, 3, 1, 1), nn.ReLU())
        self.heads = nn.ModuleList(nn.Conv2d(neck, n, 1) for n in N_CHANNELS)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map RGB (n, 3, H, W), 0 to 255, to heat, log sizes, offsets and landmarks (n, channels, H / 4, W / 4)."""
        x = self.stem(pixels)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        coarse, *finer = (outputs[stage] for stage, _ in _MERGED)
        x = self.laterals[0](coarse)
        for up, lateral, output in zip(self.ups, list(self.laterals)[1:], finer, strict=True):
            x = up(x) + lateral(output)
        x = self.merged(x)
        heat, log_sizes, offsets, landmarks = (head(x) for head in self.heads)
        return heat.sigmoid(), log_sizes, offsets, landmarks


class _Block(nn.Module):
    """MobileNetV2's inverted residual block."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int):
        super().__init__()
        hidden = in_channels * expansion
        expand = [nn.Conv2d(in_channels, hidden, 1), nn.ReLU()] if expansion > 1 else []
        depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden)
        self.layers = nn.Sequential(*expand, depthwise, nn.ReLU(), nn.Conv2d(hidden, out_channels, 1))
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


def make_network() -> FaceNetwork:
    """Return a network without weights, which must be loaded with ``assign=True``.

    Random weights would be drawn from torch's global generator, in the middle of a fit that has seeded it.
    """
    with torch.device("meta"):
        return FaceNetwork()


def read_onnx(path: str | os.PathLike[str]) -> FaceNetwork:
    """Read CenterFace's ONNX file, whose nodes have the order of the layers of `FaceNetwork`.

    Raises WeightsError if it is another file; MissingLibraryError if onnx is not installed.
    """
    onnx = require("onnx", "centerface")
    try:
        graph = onnx.load(os.fspath(path)).graph
        arrays = {tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
        layers = _parameters(graph.node, arrays)
    except Exception as exc:  # protobuf's DecodeError, which is no public name of onnx, or layers of another kind
        raise WeightsError(f"{os.fspath(path)} is not CenterFace's ONNX file ({exc}); check the path.") from exc
    network = make_network().eval()
    for kind, layer_type in {"Conv": nn.Conv2d, "ConvTranspose": nn.ConvTranspose2d}.items():
        wanted = [layer for layer in network.modules() if isinstance(layer, layer_type)]
        found = layers[kind]
        shapes = [weight.shape for weight, _ in found]
        if shapes != [tuple(layer.state_dict()["weight"].shape) for layer in wanted]:
            raise WeightsError(f"{os.fspath(path)} holds another network than CenterFace; check the path.")
        for layer, (weight, bias) in zip(wanted, found, strict=True):
            layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}, assign=True)
    return network


def _parameters(nodes: Any, arrays: dict[str, np.ndarray]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return weights and biases of the layers of each kind, with batch normalization folded into them."""
    layers: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"Conv": [], "ConvTranspose": []}
    for node in nodes:
        if node.op_type == "Conv":
            weight, bias = (arrays[name] for name in node.input[1:3])
            layers["Conv"].append((weight, bias))
        elif node.op_type == "ConvTranspose":
            weight = arrays[node.input[1]]
            layers["ConvTranspose"].append((weight, np.zeros(weight.shape[1], np.float32)))
        elif node.op_type == "BatchNormalization":  # each follows a transposed convolution
            gain, shift, mean, variance = (arrays[name] for name in node.input[1:5])
            epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
            factor = gain / np.sqrt(variance + epsilon)
            weight, _ = layers["ConvTranspose"].pop()
            layers["ConvTranspose"].append((weight * factor[None, :, None, None], shift - mean * factor))
    return layers
