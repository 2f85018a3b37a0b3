"""A small fit of every layer, for tests that run it in this process and in others: python fine_tuning.py FOLDER."""

import os
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
from torch import nn

from maskkit import MaskClassifier
from maskkit.testing import FixedDetector, TinyBackbone, make_faces


class NormalisedBackbone(TinyBackbone):
    """With layers that look at the batch and layers that draw."""

    def build(self, weights):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
        )


def make_model(**params):
    """An unfitted classifier of all of it: odd shares, weights, a held-out part, painted and worn-down images."""
    defaults = {
        "backbone": NormalisedBackbone(),
        "weights": None,
        "detector": FixedDetector([[0, 0, 64, 64]]),
        "fine_tune": True,
        "epochs": 3,
        "batch_size": 9,
        "learning_rate": 1e-3,
        "class_weight": "balanced",
        "early_stopping": True,
        "validation_fraction": 0.25,
        "precision": "float32",
        "random_state": 0,
    }
    return MaskClassifier(**{**defaults, **params})


def fit(**params):
    """The same, fitted to drawn faces."""
    faces, labels = make_faces(60)
    return make_model(**params).fit(faces, labels, sample_weight=np.linspace(0.5, 2, len(labels)))


def tensors_of(model):
    """Everything that was trained."""
    layers = {"backbone": model.embedder_.network_, "head": model.head_.network_}
    return {f"{part}.{name}": value for part, layer in layers.items() for name, value in layer.state_dict().items()}


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    model = fit(verbose=1)
    tensors = {name: tensor.contiguous() for name, tensor in tensors_of(model).items()}
    safetensors.torch.save_file(tensors, folder / f"{rank}.safetensors")
    np.save(folder / f"{rank}.npy", model.predict_proba(make_faces(8, random_state=1)[0]))
    np.save(folder / f"history{rank}.npy", [record["validation_loss"] for record in model.history_])
    np.save(folder / f"confusion{rank}.npy", [record["validation_confusion"] for record in model.history_])
