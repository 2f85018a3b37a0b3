"""Precision, recall and F1 of classes, and the interval of a proportion."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from maskkit._display.tables import Estimate

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def class_scores(confusion: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Compute precision, recall and F1 of each class, each (..., n_classes).

    In the confusion matrix, (..., n_classes, n_classes), rows are true classes, and columns are predicted classes. NaN
    where undefined: precision of a class that is never predicted, recall of a class that never occurs, F1 of a class of
    which both hold.
    """
    correct = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    predicted, true = confusion.sum(axis=-2), confusion.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return correct / predicted, correct / true, 2 * correct / (predicted + true)


def macro(by_class: Floats) -> Floats:
    """Return the mean over classes, without classes that are NaN; NaN if all are."""
    known = ~np.isnan(by_class)
    total = np.where(known, by_class, 0).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return total / known.sum(axis=-1)


def wilson(n_correct: float, n: float) -> Estimate:
    """Estimate a proportion with the Wilson score interval; NaN without cases.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", J. Amer. Statist.
    Assoc. 22, 209-212, as scipy computes it.
    """
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    interval = binomtest(int(n_correct), int(n)).proportion_ci(0.95, method="wilson")
    # Rounding may leave the ends slightly beyond a proportion of 0 or 1.
    low = 0.0 if n_correct == 0 else float(interval.low)
    high = 1.0 if n_correct == n else float(interval.high)
    return Estimate(float(n_correct / n), low, high, int(n))
