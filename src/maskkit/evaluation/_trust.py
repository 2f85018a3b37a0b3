"""What a reliability diagram and a risk-coverage curve show."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate
from maskkit.evaluation._report import plain

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy against confidence, in 15 equally wide bins of the most probable class's probability.

    Attributes
    ----------
    confidence : ndarray of shape (15,), float64
        Mean probability; NaN in an empty bin.
    accuracy : tuple of 15 Estimate
    """

    confidence: Floats
    accuracy: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the bins as plain values."""
        return {
            "confidence": [None if np.isnan(value) else float(value) for value in self.confidence],
            "accuracy": [plain(estimate) for estimate in self.accuracy],
        }


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Share of mistakes among the faces answered, against their share, the surest first.

    Attributes
    ----------
    coverage, risk, low, high : ndarray of shape (50,), float64
        `low` and `high` enclose the risk at each coverage, point by point, with 95 % confidence.
    """

    coverage: Floats
    risk: Floats
    low: Floats
    high: Floats

    def to_dict(self) -> dict[str, Any]:
        """Give the curve as plain values."""
        return {name: getattr(self, name).tolist() for name in ("coverage", "risk", "low", "high")}
