"""Labels and weights as training wants them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d


def check_labels(y: ArrayLike) -> NDArray[Any]:
    """Give labels as an array of shape (n_samples,).

    Raises
    ------
    ValueError
        If they mix str with another type, or are no column.
    """
    labels = np.asarray(y, dtype=object).tolist() if np.ndim(np.asarray(y, dtype=object)) == 1 else []
    for row, label in enumerate(labels):
        if label is None or label != label:
            raise ValueError(f"y[{row}] is {label!r}; want a label for every image.")
    # NumPy would turn a list of str and int into str without a word.
    kinds = {type(label) for label in labels}
    if any(issubclass(kind, str) for kind in kinds) and not all(issubclass(kind, str) for kind in kinds):
        raise ValueError(
            f"y mixes labels of {', '.join(sorted(kind.__name__ for kind in kinds))}; want all str or all int."
        )
    return column_or_1d(y)


def encode_labels(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Give the sorted classes and each label's index among them.

    Raises
    ------
    ValueError
        If the labels are not classes, or all the same.
    """
    check_classification_targets(y)
    classes, targets = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y holds 1 class, {classes[:1].tolist()[0]!r}; want two or more: add examples of another class."
        )
    return classes, targets


def merge_weights(class_weight: Any, y: NDArray[Any], sample_weight: ArrayLike | None) -> NDArray[np.float32]:
    """Multiply class weights and sample weights, (n_samples,) float32.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, fewer than two classes count, or the length is not that of `y`.
    """
    weights = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        given = np.asarray(sample_weight, dtype=np.float64)
        if given.shape != y.shape:
            raise ValueError(f"sample_weight has shape {given.shape}; want {y.shape}, one a sample.")
        weights = weights * given
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight holds NaN, infinite or negative values; want finite ones, 0 or more.")
    if len(np.unique(y[weights > 0])) < 2:
        raise ValueError("only one class has a sample_weight above zero; want two classes or more that count.")
    return weights.astype(np.float32)


def split_rows(targets: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split row numbers into those to train on and those held out, stratified by class."""
    rows = np.arange(len(targets))
    kept, held_out = train_test_split(rows, test_size=fraction, stratify=targets, random_state=seed)
    return kept, held_out
