"""PyTorch engine, for GPUs and for networks that OpenVINO cannot run."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._images.preprocess import Preprocess
from maskkit.engines._devices import autocast


class TorchEngine:
    """Runs a network in PyTorch."""

    n_streams = 1

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        device: torch.device,
        precision: torch.dtype,
        *,
        is_reduced: bool = False,
    ):
        self.network = network.to(device)
        self.preprocess = preprocess
        self.device = device
        self.precision = precision
        self.is_reduced = is_reduced

    def compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (n, n_features) of uint8 (n, S, S, 3)."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            features = self.network(self.preprocess.normalize(pixels, self.device))
        return features.float().cpu().numpy()
