"""Calibration errors and risk-coverage curves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate, Record
from maskkit._metrics.scores import Bools, Floats

Weights = NDArray[Any]

# As in Guo et al. 2017.
N_BINS = 15
# Coverages at which the risk is computed.
COVERAGE = np.linspace(0.02, 1.0, 50)


def bin_equally_wide(confidence: Floats) -> NDArray[np.int64]:
    """Return the bin of each confidence, (n,), among `N_BINS` bins of equal width, closed above."""
    return np.clip(np.ceil(confidence * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)


def bin_equally_full(confidence: Floats) -> NDArray[np.int64]:
    """Return the bin of each confidence, (n,), among at most `N_BINS` bins of equal size; ties share a bin."""
    # The accuracy in a bin of a single face has no variance that could be subtracted.
    n_bins = max(1, min(N_BINS, len(confidence) // 2))
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, confidence, side="left")


def expected_error(confidence: Floats, is_correct: Bools) -> Callable[[Weights], float]:
    """Return a function that computes the expected calibration error (ECE) of bootstrap samples.

    The ECE is the mean distance between accuracy and mean confidence over 15 bins of equal width, weighted by the
    number of faces. Source: Naeini, Cooper and Hauskrecht 2015, AAAI, 2901-2907; for the top class, Guo et al. 2017,
    ICML, section 2. It is positive even for a calibrated classifier, the more so with fewer faces.
    """
    bins, gaps = bin_equally_wide(confidence), is_correct - confidence

    def error(weights: Weights) -> float:
        return float(np.abs(np.bincount(bins, weights * gaps)).sum() / weights.sum())

    return error


def squared_errors(confidence: Floats, is_correct: Bools) -> Callable[[Weights], tuple[float, float]]:
    """Return a function that computes the mean squared calibration error of bootstrap samples, raw and debiased.

    Bins have equal numbers of faces. The debiased error subtracts the variance of the accuracy in each bin: Kumar,
    Liang and Ma 2019, "Verified uncertainty calibration", NeurIPS, definition 5.1. It is 0 on average for a calibrated
    classifier, and may be negative.
    """
    bins = bin_equally_full(confidence)

    def errors(weights: Weights) -> tuple[float, float]:
        n = np.bincount(bins, weights)
        kept = n > 1
        accuracy, predicted = (
            np.bincount(bins, weights * values)[kept] / n[kept] for values in (is_correct.astype(float), confidence)
        )
        squares = (accuracy - predicted) ** 2
        chance = accuracy * (1 - accuracy) / (n[kept] - 1)
        total = max(n[kept].sum(), 1)
        return float((n[kept] * squares).sum() / total), float((n[kept] * (squares - chance)).sum() / total)

    return errors


def brier_losses(proba: Floats, true: NDArray[np.int64]) -> Floats:
    """Return half the squared distance between probabilities and one-hot labels, (n,), range 0 to 1.

    Source: Brier 1950, Monthly Weather Review 78, 1-3; halved, as scikit-learn's `brier_score_loss` for two classes.
    """
    return ((proba - np.eye(proba.shape[1])[true]) ** 2).sum(axis=1) / 2


def risk_coverage(confidence: Floats, is_correct: Bools) -> Callable[[Weights], tuple[float, Floats]]:
    """Return a function that computes the risk-coverage curve and its area (AURC) of bootstrap samples.

    If only the most confident faces are classified, coverage is their fraction and risk is the error rate among them.
    The function returns the area and the risk at each of `COVERAGE`. Faces of equal confidence are classified together,
    as by a threshold. Source: Geifman and El-Yaniv 2017, "Selective classification for deep neural networks", NeurIPS;
    the area as the mean risk over all coverages: Geifman, Uziel and El-Yaniv 2019, ICLR.
    """
    levels, level = np.unique(-confidence, return_inverse=True)

    def curve(weights: Weights) -> tuple[float, Floats]:
        n = np.bincount(level, weights, len(levels))
        n_wrong = np.bincount(level, weights * ~is_correct, len(levels))
        kept = n > 0
        n, answered, wrong = n[kept], np.cumsum(n[kept]), np.cumsum(n_wrong[kept])
        risk = wrong / answered
        # The first threshold with at least this coverage.
        at = np.searchsorted(answered / answered[-1], COVERAGE - 1e-9)
        return float((n * risk).sum() / answered[-1]), risk[at]

    return curve


def estimate_error(value: float, samples: Floats, n: int) -> Estimate:
    """Estimate an error that is biased upwards, with the basic bootstrap interval.

    Each bootstrap sample adds the bias again, so the interval is mirrored at the value, and clipped to include it and
    no negative errors. Source: Davison and Hinkley 1997, "Bootstrap methods and their application", section 5.2.
    """
    lower, upper = np.percentile(samples, [2.5, 97.5])
    return Estimate(value, max(0.0, float(2 * value - upper)), max(value, float(2 * value - lower)), n)


def estimate_debiased(raw: float, debiased: float, samples: Floats, n: int) -> Estimate:
    """Estimate the root of a debiased square; bootstrap samples scatter around the raw square instead."""
    lower, upper = np.percentile(samples, [2.5, 97.5])
    low, value, high = np.sqrt(np.clip([debiased - (upper - raw), debiased, debiased - (lower - raw)], 0, 1))
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), n)


@dataclass(frozen=True, eq=False)
class Reliability(Record):
    """Accuracy against confidence, in 15 bins of equal width.

    Attributes
    ----------
    confidence : ndarray of shape (15,), float64
        Mean confidence; NaN in an empty bin.
    accuracy : tuple of 15 Estimate
    """

    confidence: Floats
    accuracy: tuple[Estimate, ...]


@dataclass(frozen=True, eq=False)
class RiskCoverage(Record):
    """Error rate among the classified faces against their fraction, the most confident first.

    Attributes
    ----------
    coverage, risk, low, high : ndarray of shape (50,), float64
        `low` and `high` enclose the risk at each coverage, pointwise with 95 % confidence.
    """

    coverage: Floats
    risk: Floats
    low: Floats
    high: Floats
