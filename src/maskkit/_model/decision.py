"""Decisions: when a face is "uncertain", temperature scaling, and choosing a threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNCERTAIN = "uncertain"
"""Decision on a face whose class is not reliable."""

# Candidate temperatures in steps of 1 %, finer than thousands of faces can distinguish. The range is limited, because
# the likelihood of a handful of faces may be highest at any temperature.
_TEMPERATURES = np.geomspace(0.2, 5.0, 324)


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Rule that decides when a face is "uncertain".

    Parameters
    ----------
    threshold : float, range 0 to 1
        Minimum probability of the most probable class.
    min_size_px : float
        Minimum length of the longer box side, in pixels.
    """

    threshold: float = 0.0
    min_size_px: float = 0.0

    def reasons(self, probability: float, size_px: float) -> tuple[str, ...]:
        """Return why a face is uncertain: ``"too_small"``, ``"low_probability"``, both, or nothing."""
        checks = {"too_small": size_px < self.min_size_px, "low_probability": probability < self.threshold}
        return tuple(reason for reason, is_violated in checks.items() if is_violated)


def fit_temperature(proba: ArrayLike, targets: ArrayLike) -> float:
    """Fit the temperature that maximizes the likelihood of the true classes.

    Parameters
    ----------
    proba : array-like of shape (n_faces, n_classes)
        Probabilities of faces held out from training.
    targets : array-like of shape (n_faces,), int
        Index of the true class.

    Returns
    -------
    temperature : float, range 0.2 to 5
        Logits divided by it are calibrated. Above 1, the model is overconfident.

    Notes
    -----
    Source: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, 2017, arXiv:1706.04599, section 4.2.
    """
    logits = np.log(np.clip(np.asarray(proba, dtype=np.float64), 1e-12, None))
    rows = np.arange(len(logits))
    losses = []
    for temperature in _TEMPERATURES:
        scaled = logits / temperature
        losses.append((np.logaddexp.reduce(scaled, axis=1) - scaled[rows, targets]).mean())
    return float(_TEMPERATURES[np.argmin(losses)])


def choose_threshold(
    proba: ArrayLike, correct: ArrayLike, *, precision: float | None = None, uncertain_cost: float | None = None
) -> float:
    """Choose the probability below which the decision is "uncertain", from faces with known classes.

    Raises ValueError if both or neither is passed, or no threshold reaches the precision.

    Parameters
    ----------
    proba : array-like of shape (n_faces,)
        Probability of the most probable class.
    correct : array-like of shape (n_faces,), bool
        Whether that is the true class.
    precision : float, range 0 to 1
        Target fraction of correct decisions among those that are not uncertain; as few as possible are uncertain.
    uncertain_cost : float, range 0 to 1
        Cost of an uncertain decision, where a wrong one costs 1 (Chow 1970, "On optimum recognition error and reject
        tradeoff"). Pass this or `precision`.

    Returns
    -------
    threshold : float
        0 if no face needs to be uncertain.
    """
    if (precision is None) == (uncertain_cost is None):
        raise ValueError("choose_threshold takes either precision or uncertain_cost.")
    proba, correct = np.asarray(proba, dtype=np.float64), np.asarray(correct, dtype=bool)
    # Faces of equal probability are on the same side of every threshold.
    candidates, first = np.unique(proba, return_inverse=True)
    n_decided = _sum_from_top(np.ones(len(correct)), first, len(candidates))
    n_wrong = _sum_from_top(~correct, first, len(candidates))
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


def _sum_from_top(values: NDArray[Any], groups: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    """Return the sums over each group and all higher ones."""
    sums = np.bincount(groups, weights=values, minlength=n_groups).astype(np.float64)
    return np.cumsum(sums[::-1])[::-1]
