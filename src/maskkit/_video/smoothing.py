"""One decision out of many looks at the same face."""

import math
from collections.abc import Mapping
from typing import Any

from maskkit._model.decision import UNCERTAIN, DecisionRule

# A look weighs 1/e after so long: long enough to outvote a frame or two of blur, short enough that a mask taken
# off is told within a second. Ours.
MEMORY_S = 1.0

# A face weighs as its size, up to this: below 32 px the shipped model misjudges more (docs/measurements.md), above
# it sees no more.
FULL_SIZE_PX = 32

# How much a decision must be bettered before it changes, in probability: flickering around a bound changes nothing
# (Schmitt 1938, "A thermionic trigger"). The width is ours.
HYSTERESIS = 0.1


class SmoothedDecision:
    """The mean of what was seen of a face lately, and a decision that does not flicker.

    Parameters
    ----------
    rule : DecisionRule
        Faces below its size say nothing here; its threshold holds for the mean.
    """

    def __init__(self, rule: DecisionRule):
        self.rule = rule
        self.decision: Any = UNCERTAIN
        self._sums: dict[Any, float] = {}
        self._last_s = 0.0

    def add(self, probabilities: Mapping[Any, float], size_px: float, time_s: float) -> None:
        """Take a look into account."""
        kept = math.exp((self._last_s - time_s) / MEMORY_S)
        weight = min(size_px, FULL_SIZE_PX) if size_px >= self.rule.min_size_px else 0.0
        self._sums = {
            label: self._sums.get(label, 0.0) * kept + weight * value for label, value in probabilities.items()
        }
        self._last_s = time_s
        self.decision = self._decide()

    @property
    def probabilities(self) -> dict[Any, float]:
        """The mean of every class; empty if nothing was large enough to tell."""
        total = sum(self._sums.values())
        return {label: value / total for label, value in self._sums.items()} if total > 0 else {}

    @property
    def probability(self) -> float | None:
        """Of the decision; of the most probable class where that is uncertain."""
        means = self.probabilities
        return means.get(self.decision, max(means.values())) if means else None

    def _decide(self) -> Any:
        means = self.probabilities
        if not means:
            return UNCERTAIN
        best = max(means, key=lambda label: means[label])
        held = means.get(self.decision)
        if held is not None and held >= max(self.rule.threshold, means[best]) - HYSTERESIS:
            return self.decision
        return best if means[best] >= self.rule.threshold else UNCERTAIN
