"""Example plugins for maskkit: a detector, a backbone and a reporter."""

from pathlib import Path

import numpy as np
from torch import nn

from maskkit.detectors import Faces
from maskkit.exceptions import WeightsError


class ThirdsDetector:
    """Detects one "face" in the middle third of every photo, as for a camera at a door.

    No base class is needed: the method is the contract.
    """

    def detect(self, image):
        """Return the middle third of an RGB uint8 (H, W, 3) image as a face."""
        height, width = image.shape[:2]
        left, top = width / 3, height / 3
        box = [left, top, max(2 * left, left + 1), max(2 * top, top + 1)]
        return Faces(
            np.array([box], dtype=np.float32), np.ones(1, dtype=np.float32)
        )


class SmallBackbone:
    """A network of two convolutions, to be trained from random weights.

    Parameters
    ----------
    width : int or str
        Number of features; ``"small:64"`` passes the text "64".
    """

    image_size = 48
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    weights_info = "none: trained from random weights"

    def __init__(self, width=32):
        self.width = width

    def get_params(self, deep=True):
        """Return the parameters, from which a saved model is rebuilt."""
        return {"width": self.width}

    @property
    def n_features(self):
        """Number of features per image."""
        return int(self.width)

    def build(self, weights):
        """Build the network: float32 (n, 3, 48, 48) to (n, n_features)."""
        if weights is not None:
            raise WeightsError(
                f"weights={weights!r}: there are none; pass weights=None (--weights none)"
            )
        layers = [nn.Conv2d(3, 16, 5, stride=2), nn.ReLU()]
        layers += [nn.Conv2d(16, self.n_features, 3, stride=2), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class MarkdownReporter:
    """Writes the metrics of an evaluation as a Markdown table.

    Parameters
    ----------
    path : str or Path
        File to write; ``"markdown:report.md"`` passes it.
    """

    def __init__(self, path="report.md"):
        self.path = Path(path)

    def report(self, evaluation):
        """Write the table and return its path."""
        rows = [
            f"| {name} | {one.value:.3f} | {one.low:.3f} to {one.high:.3f} | {one.n} |"
            for name, one in evaluation.metrics().items()
        ]
        head = ["| metric | value | 95 % interval | n |", "|---|---|---|---|"]
        self.path.write_text("\n".join(head + rows) + "\n", encoding="utf-8")
        return self.path
