"""The contract between maskkit and a backbone, and the reading of weights that backbones share."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from maskkit._plugins import plugin_errors
from maskkit.exceptions import PluginError, WeightsError

Weights: TypeAlias = str | os.PathLike[str] | None
"""``"imagenet"``, the path of a state dict, or None for random values."""

StateDict: TypeAlias = dict[str, torch.Tensor]


class Backbone(Protocol):
    """Turns face crops into features; any object with these members serves.

    Attributes
    ----------
    image_size : int
        Side of the square input that the weights were trained on, in pixels.
    mean, std : tuple of 3 floats
        A pixel ``x`` in [0, 1] enters the network as ``(x - mean) / std``, channel by channel (RGB).
    n_features : int
        Features an image.
    weights_info : str
        Where ``weights="imagenet"`` come from and their licence.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    n_features: int
    weights_info: str

    def build(self, weights: Weights) -> nn.Module:
        """Make the network.

        Parameters
        ----------
        weights : path, {"imagenet"} or None

        Returns
        -------
        network : torch.nn.Module
            Takes float32 (n, 3, H, W), gives (n, n_features).

        Raises
        ------
        WeightsError
            If the weights cannot be had or do not fit.
        """
        ...


def build_network(backbone: Backbone, weights: Weights) -> nn.Module:
    """Have a backbone make its network.

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit.
    PluginError
        If it fails otherwise, or makes something else.
    """
    with plugin_errors("backbones", backbone, "build()"):
        network = backbone.build(weights)
    if not isinstance(network, nn.Module):
        raise PluginError(
            f"backbone {type(backbone).__name__}: build() gave {type(network).__name__}; want a torch.nn.Module."
        )
    return network


def check_features(features: Any, backbone: Backbone, n_images: int) -> None:
    """Check what a backbone's network gave.

    Raises
    ------
    PluginError
        If it is no array or tensor, or the shape or a value is wrong.
    """
    name = type(backbone).__name__
    shape = tuple(getattr(features, "shape", ()))
    if shape != (n_images, backbone.n_features):
        raise PluginError(
            f"backbone {name}: gave features of shape {shape} for {n_images} images; "
            f"want ({n_images}, {backbone.n_features})."
        )
    # A sum is NaN or infinite if anything in it is, and takes a tenth of the time; large numbers may overflow it.
    if not np.isfinite(features.sum()) and not np.isfinite(np.asarray(features)).all():
        raise PluginError(f"backbone {name}: gave NaN or infinite features; want finite ones.")


def check_network(network: nn.Module, backbone: Backbone, image_size: int) -> None:
    """Show a network two black images and check what it gives.

    Raises
    ------
    PluginError
        If it fails, or gives something else than features.
    """
    device = next((parameter.device for parameter in network.parameters()), None)
    with plugin_errors("backbones", backbone, "its network"), torch.inference_mode():
        features = network.eval()(torch.zeros(2, 3, image_size, image_size, device=device))
    check_features(features.float().cpu().numpy() if isinstance(features, torch.Tensor) else features, backbone, 2)


def read_state_dict(path: str | os.PathLike[str]) -> StateDict:
    """Read a state dict from a ``.safetensors`` file or one written by ``torch.save``.

    Nothing in the file is executed: ``torch.load`` runs with ``weights_only=True``. The wrappers
    that training scripts leave are taken off: ``{"state_dict": ...}`` and the prefix ``module.``.

    Raises
    ------
    WeightsError
        If there is no such file or it holds no state dict.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"weights={str(path)!r}: no such file; use 'imagenet', None or the path of a state dict.")
    try:
        if file.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as exc:  # pickle, zip and safetensors readers each raise their own
        # torch's message goes on to advise reading it unsafely.
        reason = str(exc).partition("\n")[0].partition(". ")[0]
        raise WeightsError(
            f"{file}: is no state dict that can be read safely ({reason}); want a .safetensors file or one that "
            f"torch.save(net.state_dict(), path) wrote."
        ) from exc
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{file}: holds a {type(state).__name__}; want a state dict, torch.save(net.state_dict()).")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_backbone_weights(network: nn.Module, state: StateDict, *, drop: str | Sequence[str], source: str) -> nn.Module:
    """Load a state dict into a network whose classifier was cut off.

    Parameters
    ----------
    network : torch.nn.Module
    state : dict of str to Tensor
    drop : str or sequence of str
        Name of the module cut off; its keys are left out.
    source : str
        What an error calls the weights.

    Returns
    -------
    network : torch.nn.Module
        The same, filled.

    Raises
    ------
    WeightsError
        If keys or shapes differ; the message names some.
    """
    cut = tuple(f"{name}." for name in ([drop] if isinstance(drop, str) else drop))
    state = {key: value for key, value in state.items() if not key.startswith(cut)}
    wanted = network.state_dict()
    # Counts of batches seen matter to no prediction, and older files lack them.
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in wanted]
    misshapen = [
        f"{key}: {tuple(state[key].shape)}, want {tuple(wanted[key].shape)}"
        for key in state
        if key in wanted and state[key].shape != wanted[key].shape
    ]
    for fault, keys in (("lacks", missing), ("has unknown", unexpected), ("has misshapen", misshapen)):
        if keys:
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise WeightsError(
                f"{source} does not fit this network: it {fault} {shown}; pass weights of the same architecture."
            )
    network.load_state_dict(state, strict=False)
    return network


def is_imagenet(weights: Weights) -> bool:
    """Tell whether the word was given; a file named ``imagenet`` is passed as ``./imagenet``."""
    return isinstance(weights, str) and weights == "imagenet"


def download_hint(wanted: str) -> str:
    """Say what to do where ImageNet weights cannot be downloaded."""
    return (
        f"either pass weights=PATH, {wanted}, or use backbone='efficientnet_lite0', "
        f"whose ImageNet weights come with pip"
    )
