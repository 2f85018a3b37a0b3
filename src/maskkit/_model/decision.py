"""When a model answers, and when it says that it cannot tell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNCERTAIN = "uncertain"
"""The decision on a face whose class cannot be told."""

# No sane model is off by more; on a handful of faces the likelihood may ask for any temperature. Steps
# of 1 % are finer than thousands of faces can tell.
_TEMPERATURES = np.geomspace(0.2, 5.0, 324)


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What a face must have to be decided.

    Parameters
    ----------
    threshold : float, range 0 to 1
        Lowest probability of the most probable class.
    min_size_px : float
        Lowest length of the box's longer side, in pixels.
    """

    threshold: float = 0.0
    min_size_px: float = 0.0

    def reasons(self, probability: float, size_px: float) -> tuple[str, ...]:
        """Say why a face cannot be decided: ``"too_small"``, ``"low_probability"``, both or nothing."""
        return ("too_small",) * (size_px < self.min_size_px) + ("low_probability",) * (probability < self.threshold)


def fit_temperature(proba: ArrayLike, targets: ArrayLike) -> float:
    """Find the temperature that makes probabilities most likely.

    Parameters
    ----------
    proba : array-like of shape (n_faces, n_classes)
        Of faces that the model was not trained on.
    targets : array-like of shape (n_faces,), int
        Column of the true class.

    Returns
    -------
    temperature : float, range 0.2 to 5
        Above 1 the model was too sure of itself. Logits divided by it are calibrated.

    Notes
    -----
    Source: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, 2017,
    arXiv:1706.04599, section 4.2.
    """
    logits = np.log(np.clip(np.asarray(proba, dtype=np.float64), 1e-12, None))
    rows = np.arange(len(logits))
    losses = []
    for temperature in _TEMPERATURES:
        scaled = logits / temperature
        losses.append((np.logaddexp.reduce(scaled, axis=1) - scaled[rows, targets]).mean())
    return float(_TEMPERATURES[np.argmin(losses)])


def choose_threshold(
    proba: ArrayLike, right: ArrayLike, *, precision: float | None = None, uncertain_cost: float | None = None
) -> float:
    """Choose the probability below which to say "uncertain", from faces whose class is known.

    Parameters
    ----------
    proba : array-like of shape (n_faces,)
        Of the most probable class.
    right : array-like of shape (n_faces,), bool
        Whether it was the true one.
    precision : float, range 0 to 1
        The wanted share of right answers among those given; as many as possible are given.
    uncertain_cost : float, range 0 to 1
        What no answer costs, where a wrong one costs 1 (Chow 1970, On optimum recognition error and
        reject tradeoff). Give this or `precision`.

    Returns
    -------
    threshold : float
        0 if every face may be answered.

    Raises
    ------
    ValueError
        If both or neither is given, or no threshold reaches the precision.
    """
    if (precision is None) == (uncertain_cost is None):
        raise ValueError("choose_threshold takes precision or uncertain_cost, one of them.")
    proba, right = np.asarray(proba, dtype=np.float64), np.asarray(right, dtype=bool)
    # Faces of equal probability are answered together or not at all.
    candidates, first = np.unique(proba, return_inverse=True)
    n_answered = _from_the_top(np.ones(len(right)), first, len(candidates))
    n_wrong = _from_the_top(~right, first, len(candidates))
    if precision is not None:
        reached = np.flatnonzero(n_wrong <= (1 - precision) * n_answered + 1e-9)
        if len(reached) == 0:
            raise ValueError(
                f"no threshold gives a precision of {precision:.3f}; the surest faces reach "
                f"{1 - (n_wrong / n_answered).min():.3f}. Ask for less, or train a better model."
            )
        best = int(reached[0])
    else:
        costs = n_wrong + uncertain_cost * (len(right) - n_answered)  # type: ignore[operator]
        best = int(costs.argmin())
    return 0.0 if best == 0 else float((candidates[best - 1] + candidates[best]) / 2)


def _from_the_top(values: NDArray[Any], groups: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    """Sum values of this and all higher groups."""
    sums = np.bincount(groups, weights=values, minlength=n_groups).astype(np.float64)
    return np.cumsum(sums[::-1])[::-1]
