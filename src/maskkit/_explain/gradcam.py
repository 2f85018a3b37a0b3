"""Grad-CAM: which places of an image speak for a class, told by a convolutional network."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def find_map_layer(backbone: nn.Module, image_size: int) -> str:
    """Find the last layer of a network that still tells places apart.

    That is the last to give a map (n, C, h, w) of more than one place, behind which there is nothing
    but one vector an image. Networks that end in tokens, such as vision transformers, have none: their
    only maps are those of the first layer, which say little.

    Parameters
    ----------
    backbone : torch.nn.Module
        Takes float32 (n, 3, image_size, image_size), gives (n, n_features).
    image_size : int
        In pixels.

    Returns
    -------
    name : str
        As ``backbone.get_submodule`` takes it.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    outputs: list[tuple[str, torch.Size]] = []
    device = next((parameter.device for parameter in backbone.parameters()), None)
    with ExitStack() as hooks, torch.no_grad():
        for name, module in backbone.named_modules():
            hooks.enter_context(module.register_forward_hook(_note_shape(name, outputs)))
        backbone(torch.zeros(1, 3, image_size, image_size, device=device))
    for name, shape in reversed(outputs):
        is_vector = shape.numel() == shape[0] * shape[1]
        # A square image has a square map; (n, h, w, C) of a transformer is none for Grad-CAM.
        if len(shape) == 4 and shape[2] == shape[3] > 1:
            return name
        if not is_vector:
            break
    raise ValueError(
        f"{type(backbone).__name__} has no last map of places (n, C, h, w) for Grad-CAM; explain needs a "
        "convolutional backbone such as 'resnet50' or 'efficientnet_lite0'."
    )


def grad_cam(
    backbone: nn.Module, head: nn.Module, layer: str, pixels: torch.Tensor, targets: Sequence[int]
) -> NDArray[np.float32]:
    """Compute how much each place of the images speaks for a class.

    Parameters
    ----------
    backbone, head : torch.nn.Module
        Pixels to features, features to logits; both in evaluation mode. They stay as they are.
    layer : str
        A layer of the backbone that gives a map (n, C, h, w).
    pixels : Tensor of shape (n, 3, H, W), float32
    targets : sequence of int
        The class of each image, as a column of the logits.

    Returns
    -------
    heat : ndarray of shape (n, h, w), float32
        Range 0 to 1, 1 being the strongest place of the image, be it for or against the class.

    Notes
    -----
    Source: Selvaraju et al. 2017, "Grad-CAM", ICCV (arXiv:1610.02391), equations 1 and 2: the channels of
    the map, weighted by the mean gradient of the class's logit and summed; what is negative is cut off.
    The scale is ours: by the largest absolute value, so that a class that nothing speaks for stays dark.
    """
    # Imported late: it takes long for what few programs use.
    from captum.attr import LayerGradCam

    method = LayerGradCam(nn.Sequential(backbone, head), backbone.get_submodule(layer))
    with torch.enable_grad():
        signed = method.attribute(pixels, target=list(targets))[:, 0].detach().float().cpu().numpy()
    strongest = np.abs(signed).max(axis=(1, 2), keepdims=True)
    heat: NDArray[np.float32] = signed.clip(min=0) / np.where(strongest > 0, strongest, 1)
    return heat


def _note_shape(name: str, outputs: list[tuple[str, torch.Size]]) -> Callable[..., None]:
    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim > 1:
            outputs.append((name, output.shape))

    return note
