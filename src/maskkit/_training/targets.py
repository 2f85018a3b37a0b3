"""Labels and weights, checked and encoded for training."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from maskkit._checks.columns import as_column
from maskkit._checks.numbers import to_array
from maskkit._labels import check_class_weight, match_labels

# Number of random splits of groups from which the best is chosen.
_N_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels and weights of n samples, as given and encoded, each of shape (n,).

    `classes` (n_classes,) are the sorted distinct labels, and `indices` the index of each label among them. `weights`
    are sample weights times class weights. Samples of one group, such as the faces of a photo, are not split.
    """

    labels: NDArray[Any]
    classes: NDArray[Any]
    indices: NDArray[np.int64]
    weights: NDArray[np.float32]
    sample_weight: NDArray[np.float64] | None = None
    groups: NDArray[np.int64] | None = None

    @classmethod
    def encode(
        cls,
        y: NDArray[Any],
        class_weight: Any,
        sample_weight: ArrayLike | None,
        classes: NDArray[Any] | None = None,
        groups: NDArray[np.int64] | None = None,
    ) -> Self:
        """Encode labels and weights; `classes` are all of them, sorted, if `y` may lack some.

        Raises ValueError if the labels are not classes or all the same, a weight is negative or not finite, fewer than
        two classes have a positive weight, or the number of weights differs from that of labels.
        """
        check_classification_targets(y)
        found = np.unique(y)
        if len(found) < 2:
            raise ValueError(
                f"y holds 1 class, {found[:1].tolist()[0]!r}; want two or more: add examples of another class."
            )
        classes = found if classes is None else classes
        indices = np.searchsorted(classes, y)
        check_class_weight(class_weight, classes.tolist())
        given = None if sample_weight is None else to_array(as_column(sample_weight, "sample_weight"), "sample_weight")
        return cls(y, classes, indices, _merge_weights(class_weight, y, given), given, groups)

    def encode_more(self, y: NDArray[Any], class_weight: Any, name: str) -> Self:
        """Encode labels of other samples, in any spelling, with the classes and the class weights of these.

        Raises ValueError if a label is none of the classes; the message calls the labels by `name`.
        """
        classes = self.classes.tolist()
        matches = match_labels(y.tolist(), classes)
        unknown = sorted({repr(label) for label in y.tolist() if label not in matches})
        if unknown:
            raise ValueError(
                f"{name} holds {', '.join(unknown[:5])}, which is not a class of y ({', '.join(map(repr, classes))}); "
                f"rename the labels or leave those images out."
            )
        indices = np.array([classes.index(matches[label]) for label in y.tolist()], dtype=np.int64)
        # Of the classes of the model that training goes on from, the labels may lack some; "balanced" leaves them at 1.
        found = np.unique(self.labels) if class_weight == "balanced" else self.classes
        of_classes = np.ones(len(self.classes))
        of_classes[np.isin(self.classes, found)] = compute_class_weight(class_weight, classes=found, y=self.labels)
        weights = _rescale(of_classes)[indices].astype(np.float32)
        return type(self)(self.classes[indices], self.classes, indices, weights)

    def join(self, other: Self) -> Self:
        """Return the targets followed by others of the same classes."""
        labels, indices, weights = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("labels", "indices", "weights")
        )
        return type(self)(labels, self.classes, indices, weights)

    def repeat(self, times: int) -> Self:
        """Return the targets with each sample repeated in place."""
        labels, indices, weights = (np.repeat(values, times) for values in (self.labels, self.indices, self.weights))
        given = None if self.sample_weight is None else np.repeat(self.sample_weight, times)
        return type(self)(labels, self.classes, indices, weights, given)


def _merge_weights(
    class_weight: Any, y: NDArray[Any], sample_weight: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Return the product of class weights and sample weights, (n_samples,) float32."""
    weights = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        if sample_weight.shape != y.shape:
            raise ValueError(f"sample_weight has shape {sample_weight.shape}; want {y.shape}, one per sample.")
        if not np.isfinite(sample_weight).all() or (sample_weight < 0).any():
            raise ValueError("sample_weight holds NaN, infinite or negative values; want finite values of 0 or more.")
        weights = _rescale(weights) * _rescale(sample_weight)
    weights = _rescale(weights).astype(np.float32)
    # Samples of weight 0 do not affect training, so a class that has no others counts as missing.
    if len(np.unique(y[weights > 0])) < 2:
        raise ValueError("only one class has a sample_weight above zero; want two classes or more.")
    return weights


def _rescale(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale weights of an extreme size to about 1, because losses are summed in float32.

    Only their proportions matter. Those of a usual size stay as they are.
    """
    _, exponent = np.frexp(weights.max(initial=0.0))
    # A factor of a power of two changes no digit.
    return np.ldexp(weights, -exponent) if abs(exponent) > 20 else weights


def split_rows(targets: Targets, fraction: float, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows to train on and the rows held out for early stopping, stratified by class.

    Groups are held out whole; the fraction is then that of the groups. Rows of weight 0 are not held out, because they
    would not count in the validation loss. Raises ValueError if there are too few rows to hold out one of each class
    and to keep another.
    """
    counts = targets.weights > 0
    rows = np.flatnonzero(counts)
    indices = targets.indices[rows]
    per_class = np.bincount(indices, minlength=len(targets.classes))
    per_class = per_class[per_class > 0]
    n_held_out = math.ceil(fraction * len(rows))
    split = None
    if per_class.min() >= 2 and len(per_class) <= n_held_out <= len(rows) - len(per_class):
        if targets.groups is None:
            split = train_test_split(np.arange(len(rows)), test_size=n_held_out, stratify=indices, random_state=seed)
        else:
            split = _split_groups(indices, targets.groups[rows], fraction, seed)
    if split is None:
        groups = "" if targets.groups is None else f" in {len(np.unique(targets.groups[rows]))} photos"
        raise ValueError(
            f"early stopping cannot hold out validation_fraction={fraction:g} of {len(rows)} examples{groups}, "
            f"{n_held_out}, so that each of {len(per_class)} classes is on both sides (the smallest one has "
            f"{per_class.min()}); add examples, change validation_fraction, or set early_stopping=False."
        )
    kept, held_out = split
    return np.concatenate([rows[kept], np.flatnonzero(~counts)]), rows[held_out]


def _split_groups(
    indices: NDArray[np.int64], groups: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the split of groups, of several random ones, whose sides have the most similar shares of the classes.

    None if no split has every class on both sides.
    """
    if len(np.unique(groups)) < 2:
        return None
    best, least = None, np.inf
    splits = GroupShuffleSplit(_N_DRAWS, test_size=fraction, random_state=seed).split(indices, groups=groups)
    for kept, held_out in splits:
        counts = [np.bincount(indices[part], minlength=indices.max() + 1) for part in (kept, held_out)]
        difference = np.abs(counts[0] / len(kept) - counts[1] / len(held_out)).sum()
        if ((counts[0] > 0) == (counts[1] > 0)).all() and difference < least:
            best, least = (kept, held_out), difference
    return best
