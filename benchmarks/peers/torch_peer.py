"""Peers in torch: training and prediction without maskkit, as in the tutorials of torch and skorch."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.peers.subjects import Network
from maskkit.backbones._base import Backbone
from maskkit.engines._devices import seeded

# Settings of the notebook from which maskkit originated.
N_EPOCHS, BATCH_SIZE, HIDDEN_UNITS, DROPOUT = 2, 16, 300, 0.2
LEARNING_RATE = 1e-3  # default of torch's Adam
PREDICT_BATCH_SIZE = 32


class FaceFiles(Dataset[tuple[torch.Tensor, int]]):
    """Data set of image files.

    Parameters
    ----------
    paths : sequence of Path
    backbone : Backbone
        Source of the image size, mean and standard deviation.
    targets : sequence of int, optional
    """

    def __init__(self, paths: Sequence[Path], backbone: Backbone, targets: Sequence[int] | None = None):
        self.paths = paths
        self.targets = [0] * len(paths) if targets is None else targets
        size = (backbone.image_size, backbone.image_size)
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize(backbone.mean, backbone.std)]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB")), self.targets[index]


def train_in_skorch(network: Network, paths: Sequence[Path], labels: NDArray[Any], seed: int) -> nn.Module:
    """Train every layer with the settings of the notebook (float32, contiguous, Adam); return the network to logits."""
    from skorch import NeuralNetClassifier

    classes, targets = np.unique(labels, return_inverse=True)
    with seeded(seed):
        module = nn.Sequential(
            network.backbone.build(network.weights),
            nn.Dropout(DROPOUT),
            nn.Linear(network.backbone.n_features, HIDDEN_UNITS),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN_UNITS, len(classes)),
        )
        net = NeuralNetClassifier(
            module,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=BATCH_SIZE,
            max_epochs=N_EPOCHS,
            iterator_train__shuffle=True,
            train_split=None,
            classes=list(range(len(classes))),
            verbose=0,
        )
        net.fit(FaceFiles(paths, network.backbone, targets.tolist()), y=None)
    return net.module_


def plain_copy(network: nn.Module) -> nn.Module:
    """Copy a network in float32 and contiguous memory format, without optimizations."""
    return copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()


def compute_in_torch(network: nn.Module, paths: Sequence[Path], backbone: Backbone) -> NDArray[np.float32]:
    """Compute the outputs of a network, (n_files, n_outputs), with a loop over a DataLoader."""
    network.eval()
    outputs = []
    with torch.no_grad():
        for pixels, _ in DataLoader(FaceFiles(paths, backbone), batch_size=PREDICT_BATCH_SIZE):
            outputs.append(network(pixels).numpy())
    return np.concatenate(outputs)
