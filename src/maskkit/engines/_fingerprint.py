"""Content hash of a network."""

from typing import Any

import torch
from torch import nn

from maskkit._images.hashing import hash_content


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
