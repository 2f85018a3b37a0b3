"""Whether probabilities mean what they say, and what refusing to answer would buy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Weights = NDArray[Any]

# As many as Guo et al. 2017 take.
N_BINS = 15
# Shares of faces answered at which the risk is drawn.
COVERAGE = np.linspace(0.02, 1.0, 50)


def bin_equally_wide(confidence: Floats) -> NDArray[np.int64]:
    """Give the bin of each confidence, (n,), of `N_BINS` as wide as each other, closed above."""
    return np.clip(np.ceil(confidence * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)


def bin_equally_full(confidence: Floats) -> NDArray[np.int64]:
    """Give the bin of each confidence, (n,), of at most `N_BINS` as full as each other; ties stay together."""
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    return np.searchsorted(edges, confidence, side="left")


def expected_error(confidence: Floats, is_right: Bools) -> Callable[[Weights], float]:
    """Prepare the expected calibration error (ECE) for any number of resamples.

    Over 15 equally wide bins of the top class's probability, the mean distance between accuracy and
    mean probability, weighted by faces. Source: Naeini, Cooper and Hauskrecht 2015, AAAI, 2901-2907;
    for the top class, Guo et al. 2017, ICML, section 2. Few faces alone make it greater than 0.
    """
    bins = bin_equally_wide(confidence)
    gaps = is_right - confidence

    def error(weights: Weights) -> float:
        return float(np.abs(np.bincount(bins, weights * gaps)).sum() / weights.sum())

    return error


def squared_errors(confidence: Floats, is_right: Bools) -> Callable[[Weights], tuple[float, float]]:
    """Prepare the mean squared calibration error, as counted and debiased.

    Over bins as full as each other. What chance adds to the square in a bin, the variance of its
    accuracy, is subtracted: Kumar, Liang and Ma 2019, "Verified uncertainty calibration", NeurIPS,
    definition 5.1. Debiased, it is 0 on average for a calibrated classifier and may be negative.
    """
    bins = bin_equally_full(confidence)

    def errors(weights: Weights) -> tuple[float, float]:
        n = np.bincount(bins, weights)
        kept = n > 1
        accuracy, said = (
            np.bincount(bins, weights * values)[kept] / n[kept] for values in (is_right.astype(float), confidence)
        )
        squares = (accuracy - said) ** 2
        chance = accuracy * (1 - accuracy) / (n[kept] - 1)
        total = max(n[kept].sum(), 1)
        return float((n[kept] * squares).sum() / total), float((n[kept] * (squares - chance)).sum() / total)

    return errors


def brier_losses(proba: Floats, truths: NDArray[np.int64]) -> Floats:
    """Give half the squared distance of each face's probabilities from the truth, (n,), range 0 to 1.

    Source: Brier 1950, Monthly Weather Review 78, 1-3; halved, as scikit-learn's `brier_score_loss`
    does for two classes.
    """
    return ((proba - np.eye(proba.shape[1])[truths]) ** 2).sum(axis=1) / 2


def risk_coverage(confidence: Floats, is_right: Bools) -> Callable[[Weights], tuple[float, Floats]]:
    """Prepare the risk-coverage curve and its area (AURC).

    Answer the surest faces only: the coverage is their share of all, the risk the share of mistakes
    among them. Source: Geifman and El-Yaniv 2017, "Selective classification for deep neural
    networks", NeurIPS; the area as the mean risk over all coverages: Geifman, Uziel and El-Yaniv
    2019, ICLR. Faces of equal probability are answered together, as a threshold would.

    Returns
    -------
    curve : callable
        Takes how often each face counts; gives the area and the risk at each of `COVERAGE`.
    """
    levels, level = np.unique(-confidence, return_inverse=True)

    def curve(weights: Weights) -> tuple[float, Floats]:
        n = np.bincount(level, weights, len(levels))
        n_wrong = np.bincount(level, weights * ~is_right, len(levels))
        kept = n > 0
        n, answered, wrong = n[kept], np.cumsum(n[kept]), np.cumsum(n_wrong[kept])
        risk = wrong / answered
        # The first threshold that answers at least this share.
        at = np.searchsorted(answered / answered[-1], COVERAGE - 1e-9)
        return float((n * risk).sum() / answered[-1]), risk[at]

    return curve


def estimate_error(value: float, samples: Floats, n: int) -> Estimate:
    """Estimate an error that chance makes larger, with the basic bootstrap's interval.

    What chance added to the value it adds to each sample again, so the interval is mirrored at the
    value: (2 value - upper, 2 value - lower), from 0 on and with the value itself. Source: Davison
    and Hinkley 1997, "Bootstrap methods and their application", section 5.2.
    """
    lower, upper = np.percentile(samples, [2.5, 97.5])
    return Estimate(value, max(0.0, float(2 * value - upper)), max(value, float(2 * value - lower)), n)


def estimate_debiased(raw: float, debiased: float, samples: Floats, n: int) -> Estimate:
    """Estimate the root of a debiased square; its samples lie around the raw square, not the debiased."""
    lower, upper = np.percentile(samples, [2.5, 97.5])
    low, value, high = np.sqrt(np.clip([debiased - (upper - raw), debiased, debiased - (lower - raw)], 0, 1))
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), n)
