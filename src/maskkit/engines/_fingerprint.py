"""Content hash of a network."""

from typing import Any

import torch
from torch import nn

from maskkit._images.hashing import hash_content


def fingerprint(network: nn.Module, *more: Any) -> str:
    """Return a hash of a network's layers and weights, and of the repr of further objects."""
    parts = [f"{network!r} {more!r}".encode()]
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        parts += [f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), values]
    return hash_content(*parts)
