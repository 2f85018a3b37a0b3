"""PyTorch engine, for GPUs and for networks that OpenVINO cannot run."""

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._images.preprocess import Preprocess
from maskkit.engines._devices import InHalves, autocast, choose_batch_size, exact


class TorchEngine:
    """Runs a network that is on a device already, in PyTorch."""

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        device: torch.device,
        precision: torch.dtype,
        *,
        is_reduced: bool = False,
    ):
        self.network = network
        self.preprocess = preprocess
        self.device = device
        self.precision = precision
        self.is_reduced = is_reduced
        # A GPU that gets the next batch before the features of the last one are fetched does not wait for the CPU. That
        # takes two threads, which PyTorch does not promise for MPS.
        self.n_streams = 1 if device.type in ("cpu", "mps") else 2
        self.batch_size = choose_batch_size(device, preprocess.image_size)
        self._in_halves = InHalves(self._compute, device, "use a smaller image_size or device='cpu'")

    def compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = self._in_halves(pixels)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        context = exact(self.device) if self.precision == torch.float32 else nullcontext()
        with torch.inference_mode(), autocast(self.device, self.precision), context:
            features = self.network(self.preprocess.normalize(pixels, self.device))
        return features.float().cpu().numpy()
