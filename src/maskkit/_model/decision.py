"""Decisions: when a face is "uncertain", temperature scaling, and choosing a threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._checks.numbers import check_float

UNCERTAIN = "uncertain"
"""Decision on a face whose class is not reliable."""

NOT_A_FACE = "not_a_face"
"""Reason for an uncertain decision on an image that is unlike the faces of calibration."""

# Candidate temperatures in steps of 1 %, finer than thousands of faces can distinguish. The range is limited, because
# on a handful of faces the likelihood may be highest at an extreme temperature.
_TEMPERATURES = np.geomspace(0.2, 5.0, 324)


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Minimum probability and minimum longer box side, in pixels, of faces that are not "uncertain"."""

    threshold: float = 0.0
    min_size_px: float = 0.0

    def __post_init__(self) -> None:
        check_float(self.threshold, "threshold", 0, 1)
        check_float(self.min_size_px, "min_size_px", 0)

    def reasons(self, probability: float, size_px: float, *, is_face: bool = True) -> tuple[str, ...]:
        """Return why a face is uncertain: ``"too_small"``, ``"low_probability"``, `NOT_A_FACE`; NaN is never enough."""
        checks = {
            "too_small": not size_px >= self.min_size_px,
            "low_probability": not probability >= self.threshold,
            NOT_A_FACE: not is_face,
        }
        return tuple(reason for reason, is_violated in checks.items() if is_violated)


def fit_temperature(proba: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Fit the temperature, 0.2 to 5, by which logits are divided to maximize the likelihood of the true classes.

    Takes the probabilities (n_faces, n_classes) of faces held out from training, and the index of the class of each.

    Source: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, 2017, arXiv:1706.04599, section 4.2.
    """
    # The logarithm of a softmax is its logits up to a constant per row, which cancels in the likelihood.
    logits = np.log(np.clip(proba, 1e-12, None))
    true = logits[np.arange(len(logits)), targets]
    losses = [(np.logaddexp.reduce(logits / t, axis=1) - true / t).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[np.argmin(losses)])


def check_goal(precision: Any, uncertain_cost: Any) -> tuple[float | None, float | None]:
    """Return the target precision or the cost, checked; raise ValueError unless exactly one is given."""
    if (precision is None) == (uncertain_cost is None):
        raise ValueError("choose_threshold takes either precision or uncertain_cost.")
    if precision is None:
        return None, check_float(uncertain_cost, "uncertain_cost", 0, 1)
    return check_float(precision, "precision", 0, 1), None


def choose_threshold(
    proba: NDArray[np.float64], correct: NDArray[np.bool_], precision: float | None, uncertain_cost: float | None
) -> float:
    """Choose the probability below which the decision is "uncertain"; 0 if no face needs to be.

    `proba` is the probability of the most probable class of each face, `correct` whether that is the true class. With a
    target `precision`, as few faces as possible are uncertain; ValueError if no threshold reaches it. Otherwise,
    `uncertain_cost` is the cost of an uncertain decision, where a wrong one costs 1 (Chow 1970, "On optimum recognition
    error and reject tradeoff").
    """
    # Faces of equal probability are on the same side of every threshold. Sums run from the most confident faces down.
    candidates, groups, n_equal = np.unique(proba, return_inverse=True, return_counts=True)
    n_decided = np.cumsum(n_equal[::-1])[::-1]
    n_wrong = np.cumsum(np.bincount(groups, weights=~correct)[::-1])[::-1]
    if precision is not None:
        reached = np.flatnonzero(n_wrong <= (1 - precision) * n_decided + 1e-9)
        if len(reached) == 0:
            raise ValueError(
                f"no threshold gives a precision of {precision:.3f}; the most confident faces reach "
                f"{1 - (n_wrong / n_decided).min():.3f}. Choose a lower precision, or train a better model."
            )
        best = int(reached[0])
    else:
        costs = n_wrong + uncertain_cost * (len(correct) - n_decided)  # type: ignore[operator]
        best = int(costs.argmin())
    return 0.0 if best == 0 else float((candidates[best - 1] + candidates[best]) / 2)
