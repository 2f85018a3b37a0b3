"""Weights of networks: reading from safetensors files, shapes and their comparison, and hashes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from maskkit._images.hashing import hash_content
from maskkit.exceptions import WeightsError

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""The shape of each tensor by its name."""


def read_shapes(file: str | os.PathLike[str]) -> Shapes | None:
    """Return the shapes that a safetensors file states, without reading its tensors; None if it is damaged."""
    try:
        with _readable_path(file) as path, safetensors.safe_open(path, framework="pt") as stored:
            return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError):
        return None


def read_tensors(file: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by their names; raise what safetensors raises if it is damaged."""
    with _readable_path(file) as path:
        return safetensors.torch.load_file(path)


@contextmanager
def _readable_path(file: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a path at which safetensors, which takes no name that is not UTF-8, can open a file."""
    path = os.fspath(file)
    try:
        path.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as opened:
            yield f"/dev/fd/{opened.fileno()}"
    else:
        yield path


def shapes_of(network: nn.Module) -> Shapes:
    """Return the shapes of the weights of a network."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def check_weights(wanted: Shapes, shapes: Shapes, source: str) -> None:
    """Raise WeightsError if names or shapes of weights differ from those of a network; it names the first three."""
    # The counts of batches seen are not used in predictions, and older files lack them.
    missing = [key for key in wanted if key not in shapes and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in shapes if key not in wanted]
    misshapen = [
        f"{key}: {shape}, want {wanted[key]}" for key, shape in shapes.items() if key in wanted and shape != wanted[key]
    ]
    for fault, keys in (("lacks", missing), ("has unknown", unexpected), ("has misshapen", misshapen)):
        if keys:
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise WeightsError(
                f"{source} does not fit this network: it {fault} {shown}; pass weights of the same architecture."
            )


def fingerprint(network: nn.Module, *more: Any) -> str:
    """Return a hash of a network's layers and weights, and of the repr of further objects."""
    return hash_content(f"{network!r} {more!r} {hash_weights(network)}".encode())


def hash_weights(network: nn.Module) -> str:
    """Return a hash of a network's weights, which is the same with every version of torch."""
    parts: list[Any] = []
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        parts += [f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), values]
    return hash_content(*parts)
