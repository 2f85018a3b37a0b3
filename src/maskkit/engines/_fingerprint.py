"""What tells contents apart."""

import hashlib
from typing import Any

import torch
from torch import nn


def fingerprint(network: nn.Module, *more: Any) -> str:
    """Hash a network, its layers and its weights, and whatever else matters (by its repr)."""
    digest = hashlib.sha256(f"{network!r} {more!r}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
