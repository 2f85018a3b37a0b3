"""Interface of a backbone, and loading of weights."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from maskkit._files.model_folder import TENSOR_FILE
from maskkit._files.pretrained import find_model, list_pretrained
from maskkit._files.tensors import Shapes, check_weights, read_tensors, shapes_of
from maskkit._plugins import plugin_errors
from maskkit.exceptions import PluginError, WeightsError

Weights: TypeAlias = str | os.PathLike[str] | None
"""``"imagenet"``, the path of a state dict or a saved model, the name of a bundled model, or None for random weights.

Pass a file of such a name as ``./imagenet``."""

StateDict: TypeAlias = dict[str, torch.Tensor]

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")


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
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise WeightsError(
            f"weights is of type {type(weights).__name__}; want 'imagenet', None or the path of a state dict or a "
            f"saved model. Save a state dict first: torch.save(state_dict, 'weights.pth')."
        )
    with plugin_errors("backbones", backbone, "build()"):
        network = backbone.build(find_model(weights) or weights)
    if not isinstance(network, nn.Module):
        raise PluginError(
            f"backbone {type(backbone).__name__}: build() returned {type(network).__name__}; want a torch.nn.Module."
        )
    return network


def is_fixed(backbone: Backbone, weights: Weights) -> bool:
    """Return whether `build_network` returns an equal network at any time while this process runs.

    That is certain only of networks of this package that have no settings, with weights that come with it or are
    checked when they are downloaded. Subclasses may build another network.
    """
    is_ours = vars(type(backbone)).get("_is_fixed", False) and not vars(backbone)
    return is_ours and isinstance(weights, str) and weights in ("imagenet", *list_pretrained())


def read_state_dict(path: str | os.PathLike[str]) -> StateDict:
    """Read the tensors of a ``.safetensors`` file, a file of ``torch.save``, or the folder of a saved model.

    Nothing in the file is executed: ``torch.load`` runs with ``weights_only=True``. A file of ``torch.save`` may hold
    dicts in dicts, such as ``{"state_dict": ...}``; the names of tensors in them are joined by dots, as PyTorch joins
    those of modules. `load_backbone_weights` then finds the network among them.

    Raises WeightsError if the file is missing or holds no tensors.
    """
    file = Path(path)
    if (file / TENSOR_FILE).is_file():
        file = file / TENSOR_FILE
    if not file.is_file():
        raise WeightsError(
            f"weights={str(path)!r}: no such file; use 'imagenet', {', '.join(map(repr, list_pretrained()))}, None or "
            f"the path of a state dict or a saved model."
        )
    try:
        if file.suffix == ".safetensors":
            state: Any = read_tensors(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as exc:  # the readers of pickle, zip and safetensors raise different types
        # Only the first sentence: torch goes on to recommend unsafe loading.
        reason = str(exc).partition("\n")[0].partition(". ")[0] or "it is empty or cut off"
        raise WeightsError(
            f"{file}: is not a state dict that can be read safely ({reason}); want a .safetensors file or one that "
            f"torch.save(net.state_dict(), path) wrote."
        ) from exc
    tensors = dict(_flatten(state))
    if not tensors:
        raise WeightsError(f"{file}: holds a {type(state).__name__}; want a state dict, torch.save(net.state_dict()).")
    return tensors


def _flatten(state: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Iterate over the tensors in a dict and the dicts in it, with names joined by dots."""
    if not isinstance(state, Mapping):
        return
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, torch.Tensor):
            # torch.compile and torch's wrappers for training put these before the names of parts of a network.
            for wrapper in _WRAPPERS:
                name = name.replace(wrapper, "")
            yield name, value
        else:
            yield from _flatten(value, f"{name}.")


def load_backbone_weights(network: nn.Module, state: StateDict, *, drop: str | Sequence[str], source: str) -> nn.Module:
    """Load a state dict into a network without a classifier, ignoring the keys of the modules in `drop`.

    If the keys of the network have a common prefix, such as ``module.`` or ``model.``, the tensors without it are
    ignored: those of an optimizer, for example, or of the head of a saved model.

    Raises WeightsError if keys or shapes differ, or a value is not finite; the message names `source` and the first
    three.
    """
    wanted = network.state_dict()
    state = _select_network(state, wanted, source)
    dropped = tuple(f"{name}." for name in ([drop] if isinstance(drop, str) else drop))
    state = {key: value for key, value in state.items() if not key.startswith(dropped)}
    check_weights(shapes_of(network), {key: tuple(value.shape) for key, value in state.items()}, source)
    floats = [key for key in state if wanted[key].is_floating_point()]
    others = [key for key in floats if not state[key].is_floating_point()]
    if others:
        raise WeightsError(
            f"{source} holds other numbers than floats in {_list(others)}, as quantized weights do; pass the float "
            f"weights."
        )
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{source} holds NaN or infinity in {_list(broken)}; pass weights of a training that ended.")
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


def _select_network(state: StateDict, wanted: StateDict, source: str) -> StateDict:
    """Return the tensors of the network, without the prefix of their names that wrappers added.

    The prefix is the one with which most names of the network occur; if there is none, all tensors are returned.
    Raises WeightsError if several networks fit, and none of them is known to be the one to use.
    """
    counts: Counter[str] = Counter()
    for name in state:
        # Every part of a name may be where the network's own names begin.
        parts = name.split(".")
        for n_dropped in range(len(parts)):
            if ".".join(parts[n_dropped:]) in wanted:
                counts["".join(f"{part}." for part in parts[:n_dropped])] += 1
    # A few names of another network occur by chance.
    if max(counts.values(), default=0) < len(wanted) / 2:
        return state
    best = [prefix for prefix, count in counts.items() if count == max(counts.values())]
    # Beside the network may lie a smoothed copy, which training scripts do not put into the usual wrappers.
    usual = ("state_dict.", "model_state_dict.", "model.")
    for is_preferred in (lambda prefix: not prefix or prefix.startswith(usual), lambda prefix: "ema" not in prefix):
        best = [prefix for prefix in best if is_preferred(prefix)] or best
    if len(best) > 1:
        raise WeightsError(
            f"{source} holds {len(best)} networks that fit, {_list(best)}; save the state dict of one of them."
        )
    return {name.removeprefix(best[0]): value for name, value in state.items() if name.startswith(best[0])}


def _list(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def download_hint(wanted: str) -> str:
    """Return the end of an error about ImageNet weights that cannot be downloaded."""
    return (
        f"either pass weights=PATH, {wanted}, or use backbone='efficientnet_lite0', "
        f"whose ImageNet weights come with pip"
    )
