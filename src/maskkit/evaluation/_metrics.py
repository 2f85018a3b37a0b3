"""Metrics of classification and detection."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from maskkit._metrics.scores import Floats, Ints


def roc_auc(is_positive: NDArray[np.bool_], scores: Floats) -> Callable[[NDArray[Any]], float]:
    """Return a function that computes the area under the ROC curve of bootstrap samples.

    The function takes how often each case counts, (n,). The area is the fraction of pairs of a positive and a negative
    in which the positive has the higher score; ties count half (Hanley and McNeil 1982, Radiology 143, 29-36). It is
    NaN without positives or negatives.
    """
    _, group = np.unique(scores, return_inverse=True)
    n_groups = int(group.max()) + 1 if group.size else 0

    def area(weights: NDArray[Any]) -> float:
        positives = np.bincount(group, weights * is_positive, n_groups)
        negatives = np.bincount(group, weights * ~is_positive, n_groups)
        n_pairs = positives.sum() * negatives.sum()
        if n_pairs == 0:
            return np.nan
        below = np.cumsum(negatives) - negatives / 2
        return float((positives * below).sum() / n_pairs)

    return area


def match_boxes(boxes: NDArray[Any], scores: NDArray[Any], true_boxes: NDArray[Any], *, iou: float) -> Ints:
    """Match detections (n, 4) to annotated boxes, one to one; return the index of each one's box, -1 without one.

    In order of decreasing score, each detection is matched to the free box with the highest IoU of at least `iou`, as
    in COCO's evaluation (Lin et al. 2014, ECCV; `evaluateImg` of pycocotools).
    """
    groups = (torch.from_numpy(np.reshape(group, (-1, 4)).astype(np.float64)) for group in (boxes, true_boxes))
    overlaps = box_iou(*groups).numpy()
    matches = np.full(len(overlaps), -1)
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        if overlaps.shape[1] and (best := int(overlaps[index].argmax())) >= 0 and overlaps[index, best] >= iou:
            matches[index] = best
            overlaps[:, best] = -1
    return matches


def precision_recall(is_correct: NDArray[np.bool_], weights: NDArray[Any], n_true: float) -> tuple[Floats, Floats]:
    """Compute recall and precision after each detection, sorted by decreasing score, that counts `weights` times.

    Precision is the maximum at this or a higher recall. `n_true` is the number of annotated faces.
    """
    correct, wrong = np.cumsum(weights * is_correct), np.cumsum(weights * ~is_correct)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(correct / (correct + wrong))
        recall = correct / n_true
    return recall, np.maximum.accumulate(precision[::-1])[::-1]


def average_precision(is_correct: NDArray[np.bool_], weights: NDArray[Any], n_true: float) -> float:
    """Compute the area under the curve of `precision_recall`; NaN without annotated faces.

    All points of the curve are used, as in PASCAL VOC since 2010 (Everingham et al. 2015, IJCV 111, 98-136).
    """
    if n_true == 0:
        return np.nan
    recall, precision = precision_recall(is_correct, weights, n_true)
    return float((np.diff(recall, prepend=0.0) * precision).sum())
