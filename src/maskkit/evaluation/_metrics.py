"""Shares with their intervals, areas under curves, boxes that match: arrays in, numbers out."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Half width of a 95 % interval in standard deviations of the normal distribution.
Z_95 = 1.959963984540054


def wilson(n_right: float, n: float) -> Estimate:
    """Estimate a share with Wilson's score interval.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    J. Amer. Statist. Assoc. 22, 209-212. Without cases everything is NaN.
    """
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    share = n_right / n
    centre = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * np.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    # Rounding may leave 0 of n a hair above 0, and n of n a hair below 1.
    low = 0.0 if n_right == 0 else float(centre - half)
    high = 1.0 if n_right == n else float(centre + half)
    return Estimate(float(share), low, high, int(n))


def bootstrapped(value: float, samples: Floats, n: int) -> Estimate:
    """Estimate a figure with the percentile interval of its bootstrap samples.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3. Samples in
    which the figure does not exist (NaN) are left out. A figure of 0 or 1 that no sample changes gets
    Wilson's interval of such a share of n cases.
    """
    known = samples[~np.isnan(samples)]
    if np.isnan(value) or known.size == 0:
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.percentile(known, [2.5, 97.5])
    if low == high == value and value in (0, 1):
        # Resampling no mistakes gives no mistakes, however few the cases: take the interval of a share.
        return wilson(value * n, n)
    return Estimate(float(value), float(low), float(high), n)


def resample(n: int, n_resamples: int, rng: np.random.Generator) -> Iterable[Ints]:
    """Yield how often each of n cases is drawn, n draws with replacement, `n_resamples` times."""
    for _ in range(n_resamples):
        yield np.bincount(rng.integers(0, n, n), minlength=n)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Estimate how much the first figure is above the second, both of samples of their own.

    The interval follows from theirs: Newcombe 1998, "Interval estimation for the difference between
    independent proportions", Statistics in Medicine 17, 873-890, method 10; for figures other than
    shares Zou and Donner 2008, "Construction of confidence limits about effect measures", Statistics
    in Medicine 27, 1693-1702.
    """
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, float(low), float(high), min(first.n, second.n))


def mean_share(shares: Iterable[Estimate]) -> Estimate:
    """Estimate the mean of shares of separate cases, such as the recalls of classes; those of nothing are left out.

    The interval follows from theirs, as for a difference (Zou and Donner 2008, see `difference`), and
    so has a width also where all shares are 1.
    """
    known = [share for share in shares if share.n]
    if not known:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value = float(np.mean([share.value for share in known]))
    below = np.linalg.norm([share.value - share.low for share in known]) / len(known)
    above = np.linalg.norm([share.high - share.value for share in known]) / len(known)
    return Estimate(value, float(value - below), float(value + above), sum(share.n for share in known))


def class_scores(confusion: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Give precision, recall and F1 of each class, each (..., n_classes).

    Parameters
    ----------
    confusion : ndarray of shape (..., n_classes, n_classes)
        Rows are truths, columns predictions.

    Returns
    -------
    precision, recall, f1 : ndarray of shape (..., n_classes)
        NaN where nothing could be counted: precision of a class never predicted, recall of one that
        never occurs, F1 of one that does neither.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    predicted, true = confusion.sum(axis=-2), confusion.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / predicted, right / true, 2 * right / (predicted + true)


def macro(by_class: Floats) -> Floats:
    """Give the mean over classes; a class that does not exist is left out, none at all is NaN."""
    known = ~np.isnan(by_class)
    total = np.where(known, by_class, 0).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return total / known.sum(axis=-1)


def roc_auc(is_positive: NDArray[np.bool_], scores: Floats) -> Callable[[Ints | None], float]:
    """Prepare the area under the ROC curve for any number of resamples.

    The area is the share of pairs of a positive and a negative in which the positive scores higher,
    ties counted half (Hanley and McNeil 1982, Radiology 143, 29-36).

    Parameters
    ----------
    is_positive : ndarray of shape (n,), bool
    scores : ndarray of shape (n,), float

    Returns
    -------
    area : callable
        Takes how often each case counts, (n,), or None for once each; gives the area, or NaN without
        positives or negatives.
    """
    _, group = np.unique(scores, return_inverse=True)
    n_groups = int(group.max()) + 1 if group.size else 0

    def area(counts: Ints | None) -> float:
        weights = np.ones(len(scores)) if counts is None else counts
        positives = np.bincount(group, weights * is_positive, n_groups)
        negatives = np.bincount(group, weights * ~is_positive, n_groups)
        n_pairs = positives.sum() * negatives.sum()
        if n_pairs == 0:
            return np.nan
        below = np.cumsum(negatives) - negatives / 2
        return float((positives * below).sum() / n_pairs)

    return area


def box_iou(boxes: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Give the intersection over union of each pair of boxes, (n_boxes, n_others), range 0 to 1."""
    boxes, others = (np.asarray(group, dtype=np.float64).reshape(-1, 4) for group in (boxes, others))
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = (opposite - corner).clip(0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None] + (others[:, 2:] - others[:, :2]).prod(axis=1)
    return overlap / np.maximum(areas - overlap, 1e-12)


def match_boxes(boxes: NDArray[Any], scores: NDArray[Any], truths: NDArray[Any], *, iou: float) -> Ints:
    """Match detections to annotated boxes, one to one.

    The surest detection chooses first, each the free box that it overlaps most, as in COCO's
    evaluation (Lin et al. 2014, ECCV; `evaluateImg` of pycocotools).

    Parameters
    ----------
    boxes : ndarray of shape (n_boxes, 4)
    scores : ndarray of shape (n_boxes,)
    truths : ndarray of shape (n_truths, 4)
    iou : float
        Lowest intersection over union of a match.

    Returns
    -------
    matches : ndarray of shape (n_boxes,), int64
        Index of the annotated box; -1 without one.
    """
    overlaps = box_iou(boxes, truths)
    matches = np.full(len(overlaps), -1)
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        if overlaps.shape[1] and (best := int(overlaps[index].argmax())) >= 0 and overlaps[index, best] >= iou:
            matches[index] = best
            overlaps[:, best] = -1
    return matches


def precision_recall(is_right: NDArray[np.bool_], weights: NDArray[Any], n_truths: float) -> tuple[Floats, Floats]:
    """Give recall and precision after each detection, the surest first.

    Parameters
    ----------
    is_right : ndarray of shape (n,), bool
        Whether each detection is right, sorted by falling score.
    weights : ndarray of shape (n,)
        How often each counts.
    n_truths : float
        What there is to find.

    Returns
    -------
    recall, precision : ndarray of shape (n,)
        Precision is the highest at this recall or a higher one.
    """
    right, wrong = np.cumsum(weights * is_right), np.cumsum(weights * ~is_right)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(right / (right + wrong))
        recall = right / n_truths
    return recall, np.maximum.accumulate(precision[::-1])[::-1]


def average_precision(is_right: NDArray[np.bool_], weights: NDArray[Any], n_truths: float) -> float:
    """Give the area under the curve of `precision_recall`; NaN if there is nothing to find.

    All points of the curve count, as in PASCAL VOC from 2010 on (Everingham et al. 2015, IJCV 111,
    98-136).
    """
    if n_truths == 0:
        return np.nan
    recall, precision = precision_recall(is_right, weights, n_truths)
    return float((np.diff(recall, prepend=0.0) * precision).sum())
