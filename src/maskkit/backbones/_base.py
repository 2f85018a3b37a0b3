"""Interface of a backbone, and loading of weights."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import nn

from maskkit._files.tensors import Shapes, check_weights, shapes_of
from maskkit._plugins import plugin_errors
from maskkit.exceptions import PluginError, WeightsError

Weights: TypeAlias = str | os.PathLike[str] | None
"""``"imagenet"``, the path of a state dict, or None for random weights. Pass a file of that name as ``./imagenet``."""

StateDict: TypeAlias = dict[str, torch.Tensor]


class Backbone(Protocol):
    """A network that computes features of face crops; any object with these members is a backbone.

    Attributes
    ----------
    image_size : int
        Side of the square input that the weights were trained on, in pixels.
    mean, std : tuple of 3 floats
        A pixel ``x`` in [0, 1] enters the network as ``(x - mean) / std``, channel by channel (RGB).
    n_features : int
        Number of features per image.
    weights_info : str
        Origin and license of ``weights="imagenet"``.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    n_features: int
    weights_info: str

    def build(self, weights: Weights) -> nn.Module:
        """Build the network.

        Parameters
        ----------
        weights : path, {"imagenet"} or None

        Returns
        -------
        network : torch.nn.Module
            Maps float32 (n, 3, H, W) to (n, n_features).

        Raises
        ------
        WeightsError
            If the weights cannot be found, downloaded or read, or do not fit the network.
        """
        ...


def build_network(backbone: Backbone, weights: Weights) -> nn.Module:
    """Build the network of a backbone.

    Raises WeightsError if the weights cannot be found, downloaded or read, or do not fit the network; PluginError if it
    fails otherwise, or does not return a network.
    """
    with plugin_errors("backbones", backbone, "build()"):
        network = backbone.build(weights)
    if not isinstance(network, nn.Module):
        raise PluginError(
            f"backbone {type(backbone).__name__}: build() returned {type(network).__name__}; want a torch.nn.Module."
        )
    return network


def read_state_dict(path: str | os.PathLike[str]) -> StateDict:
    """Read a state dict from a ``.safetensors`` file or a file of ``torch.save``.

    Nothing in the file is executed: ``torch.load`` runs with ``weights_only=True``. The wrappers of common
    training scripts are removed: ``{"state_dict": ...}``, ``{"model": ...}`` and the prefix ``module.``.

    Raises WeightsError if the file is missing or holds no state dict.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"weights={str(path)!r}: no such file; use 'imagenet', None or the path of a state dict.")
    try:
        if file.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as exc:  # the readers of pickle, zip and safetensors raise different types
        # Only the first sentence: torch goes on to recommend unsafe loading.
        reason = str(exc).partition("\n")[0].partition(". ")[0]
        raise WeightsError(
            f"{file}: is not a state dict that can be read safely ({reason}); want a .safetensors file or one that "
            f"torch.save(net.state_dict(), path) wrote."
        ) from exc
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{file}: holds a {type(state).__name__}; want a state dict, torch.save(net.state_dict()).")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_backbone_weights(network: nn.Module, state: StateDict, *, drop: str | Sequence[str], source: str) -> nn.Module:
    """Load a state dict into a network without a classifier, ignoring the keys of the modules in `drop`.

    Raises WeightsError if keys or shapes differ; the message names `source` and the first three.
    """
    dropped = tuple(f"{name}." for name in ([drop] if isinstance(drop, str) else drop))
    state = {key: value for key, value in state.items() if not key.startswith(dropped)}
    check_weights(shapes_of(network), {key: tuple(value.shape) for key, value in state.items()}, source)
    network.load_state_dict(state, strict=False)
    return network


def describe_network(backbone: Backbone) -> Shapes | None:
    """Return the names and shapes of the weights of a backbone without taking memory for them.

    Returns None if its network cannot be built without values. Raises PluginError if it cannot be built at all.
    """
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return shapes_of(build_network(backbone, None))
    except PluginError as exc:
        if isinstance(exc.__cause__, (NotImplementedError, RuntimeError)):  # torch's errors about values without memory
            return None
        raise


def download_hint(wanted: str) -> str:
    """Return the end of an error about ImageNet weights that cannot be downloaded."""
    return (
        f"either pass weights=PATH, {wanted}, or use backbone='efficientnet_lite0', "
        f"whose ImageNet weights come with pip"
    )
