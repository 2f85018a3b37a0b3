"""Example plugins for maskkit: a detector and a reporter."""

from pathlib import Path

import numpy as np

from maskkit.detectors import Faces


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
