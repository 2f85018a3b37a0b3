"""Temporal smoothing: one stable decision per track from the predictions of single frames."""

import math
from collections.abc import Mapping
from typing import Any

from maskkit._model.decision import UNCERTAIN, DecisionRule

# Time constant of the moving average, in seconds: a frame's weight falls to 1/e after this time. It is long enough
# to outvote a frame or two of motion blur, and short enough to show a mask taken off within a second. Ours.
TIME_CONSTANT_S = 1.0

# The weight of a frame is the size of its face up to this size. Below 32 px the shipped model makes more errors
# (docs/measurements.md); above, more pixels do not help.
FULL_WEIGHT_PX = 32

# A decision changes only when another is better by this probability, so that a mean that moves around a bound does
# not make it flicker (Schmitt 1938, "A thermionic trigger"). The width is ours.
HYSTERESIS = 0.1


class SmoothedDecision:
    """A moving average of the class probabilities of one track, and a decision with hysteresis.

    The average is exponential in time, not in frames, so that it does not depend on the frame rate. Faces below
    the minimum size of `rule` have no weight, and its threshold applies to the average.
    """

    def __init__(self, rule: DecisionRule):
        self.rule = rule
        self.decision: Any = UNCERTAIN
        self._sums: dict[Any, float] = {}
        self._last_s = 0.0

    def add(self, probabilities: Mapping[Any, float], size_px: float, time_s: float) -> None:
        """Add the prediction of a frame and update the decision."""
        # All earlier frames lose weight by the time that has passed since the last one.
        decay = math.exp((self._last_s - time_s) / TIME_CONSTANT_S)
        weight = min(size_px, FULL_WEIGHT_PX) if size_px >= self.rule.min_size_px else 0.0
        self._sums = {
            label: self._sums.get(label, 0.0) * decay + weight * value for label, value in probabilities.items()
        }
        self._last_s = time_s
        self.decision = self._decide()

    @property
    def probabilities(self) -> dict[Any, float]:
        """Mean probability of each class; empty if every face was too small."""
        # Probabilities of a frame sum to 1, so that the sum over all classes is the sum of the weights.
        total = sum(self._sums.values())
        return {label: value / total for label, value in self._sums.items()} if total > 0 else {}

    @property
    def probability(self) -> float | None:
        """Mean probability of the decision, or of the most probable class if the decision is uncertain."""
        means = self.probabilities
        return means.get(self.decision, max(means.values())) if means else None

    def _decide(self) -> Any:
        means = self.probabilities
        if not means:
            return UNCERTAIN
        best = max(means, key=lambda label: means[label])
        # The present decision stays while it is at most HYSTERESIS below the threshold and below the best class.
        present = means.get(self.decision)
        if present is not None and present >= max(self.rule.threshold, means[best]) - HYSTERESIS:
            return self.decision
        return best if means[best] >= self.rule.threshold else UNCERTAIN
