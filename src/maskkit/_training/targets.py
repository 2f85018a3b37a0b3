"""Labels and weights, checked and encoded for training."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from maskkit._checks.columns import as_column
from maskkit._labels import check_class_weight


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels and weights of n samples, as given and encoded, each of shape (n,).

    `classes` (n_classes,) are the sorted distinct labels, and `indices` the index of each label among them. `weights`
    are sample weights times class weights.
    """

    labels: NDArray[Any]
    classes: NDArray[Any]
    indices: NDArray[np.int64]
    weights: NDArray[np.float32]
    sample_weight: NDArray[Any] | None = None

    @classmethod
    def encode(cls, y: NDArray[Any], class_weight: Any, sample_weight: ArrayLike | None) -> Self:
        """Encode labels and weights.

        Raises ValueError if the labels are not classes or all the same, a weight is negative or not finite, fewer than
        two classes have a positive weight, or the number of weights differs from that of labels.
        """
        check_classification_targets(y)
        classes, indices = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y holds 1 class, {classes[:1].tolist()[0]!r}; want two or more: add examples of another class."
            )
        check_class_weight(class_weight, classes.tolist())
        given = None if sample_weight is None else np.asarray(as_column(sample_weight, "sample_weight"))
        return cls(y, classes, indices, _merge_weights(class_weight, y, given), given)

    def repeat(self, times: int) -> Self:
        """Return the targets with each sample repeated in place."""
        labels, indices, weights = (np.repeat(values, times) for values in (self.labels, self.indices, self.weights))
        given = None if self.sample_weight is None else np.repeat(self.sample_weight, times)
        return type(self)(labels, self.classes, indices, weights, given)


def _merge_weights(class_weight: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None) -> NDArray[np.float32]:
    """Return the product of class weights and sample weights, (n_samples,) float32."""
    weights = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        given = sample_weight.astype(np.float64)
        if given.shape != y.shape:
            raise ValueError(f"sample_weight has shape {given.shape}; want {y.shape}, one per sample.")
        weights = weights * given
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight holds NaN, infinite or negative values; want finite values of 0 or more.")
    # Samples of weight 0 do not affect training, so a class that has no others counts as missing.
    if len(np.unique(y[weights > 0])) < 2:
        raise ValueError("only one class has a sample_weight above zero; want two classes or more.")
    return weights.astype(np.float32)


def split_rows(targets: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows to train on and the rows held out, stratified by class."""
    rows = np.arange(len(targets))
    kept, held_out = train_test_split(rows, test_size=fraction, stratify=targets, random_state=seed)
    return kept, held_out
