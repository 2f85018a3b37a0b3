"""Grad-CAM heat maps of convolutional networks."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def find_map_layer(backbone: nn.Module, image_size: int) -> str:
    """Return the name of the last layer with a feature map (n, C, h, w) of more than one position.

    Only vectors (n, n_features) may follow it. Networks that end in tokens, such as vision transformers, have none:
    their only maps are those of the first layer, which have little meaning. A network without such a layer raises
    ValueError.
    """
    outputs: list[tuple[str, torch.Size]] = []
    device = next((parameter.device for parameter in backbone.parameters()), None)
    with ExitStack() as hooks, torch.no_grad():
        for name, module in backbone.named_modules():
            hooks.enter_context(module.register_forward_hook(partial(_record_shape, name, outputs)))
        backbone(torch.zeros(1, 3, image_size, image_size, device=device))
    for name, shape in reversed(outputs):
        # A square image has a square map. This excludes maps (n, h, w, C) of transformers, unsuitable for Grad-CAM.
        if len(shape) == 4 and shape[2] == shape[3] > 1:
            return name
        if shape.numel() != shape[0] * shape[1]:  # no vector
            break
    raise ValueError(
        f"{type(backbone).__name__} has no final feature map (n, C, h, w) for Grad-CAM; explain needs a "
        "convolutional backbone such as 'resnet50' or 'efficientnet_lite0'."
    )


def grad_cam(
    backbone: nn.Module, head: nn.Module, layer: str, pixels: torch.Tensor, targets: Sequence[int]
) -> NDArray[np.float32]:
    """Compute the Grad-CAM heat maps (n, h, w) of images (n, 3, H, W), each for a target class, range 0 to 1.

    The networks map pixels to features and features to logits, in evaluation mode, and are not changed. `layer` is the
    name of a layer of the backbone whose output is a feature map (n, C, h, w).

    Source: Selvaraju et al. 2017, "Grad-CAM", ICCV (arXiv:1610.02391), equations 1 and 2: the channels of
    the map are weighted by the mean gradient of the class's logit and summed; negative values are set to 0.
    The scale is ours: the largest absolute value, so that the map of a class without support stays 0.
    """
    # Imported here because the import is slow and few programs need it.
    from captum.attr import LayerGradCam

    method = LayerGradCam(nn.Sequential(backbone, head), backbone.get_submodule(layer))
    with torch.enable_grad():
        signed = method.attribute(pixels, target=list(targets))[:, 0].detach().float().cpu().numpy()
    strongest = np.abs(signed).max(axis=(1, 2), keepdims=True)
    heat: NDArray[np.float32] = signed.clip(min=0) / np.where(strongest > 0, strongest, 1)
    return heat


def _record_shape(
    name: str, outputs: list[tuple[str, torch.Size]], module: nn.Module, inputs: Any, output: Any
) -> None:
    if isinstance(output, torch.Tensor) and output.ndim > 1:
        outputs.append((name, output.shape))
