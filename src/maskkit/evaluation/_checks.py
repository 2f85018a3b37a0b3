"""What evaluations check before they count."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_scalar, column_or_1d

from maskkit._labels import is_worn_incorrectly, match_labels


def list_classes(classifier: Any) -> list[Any]:
    """List what a fitted classifier tells apart, in its order.

    Raises
    ------
    NotFittedError
        If it has no `classes_`.
    """
    if not hasattr(classifier, "classes_"):
        raise NotFittedError(f"{type(classifier).__name__} has no classes_; want a fitted classifier: call fit first.")
    return np.asarray(classifier.classes_).tolist()


def check_resamples(n_resamples: int) -> None:
    """Raise TypeError or ValueError unless there is at least one bootstrap sample."""
    check_scalar(n_resamples, "n_resamples", Integral, min_val=1)


def index_labels(y: ArrayLike, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Give the index of each label's class.

    An incorrectly worn mask is -1 where the classifier has no class for it: neither answer would be
    right. Any other label that means none is more likely a mistake.

    Raises
    ------
    ValueError
        If another label means none of the classes.
    """
    labels = column_or_1d(y).tolist()
    meant = match_labels(labels, classes)
    unknown = sorted({repr(label) for label in labels if label not in meant and not is_worn_incorrectly(label)})
    if unknown:
        raise ValueError(
            f"y holds {', '.join(unknown)}, which the classifier does not know; it knows "
            f"{', '.join(map(repr, classes))}. Rename the labels or leave those images out."
        )
    return np.array([classes.index(meant[label]) if label in meant else -1 for label in labels], dtype=np.int64)


def check_proba(proba: Any, n_faces: int, classes: Sequence[Any]) -> NDArray[np.float64]:
    """Give what `predict_proba` gave as float64; raises ValueError unless it is finite and (n_faces, n_classes)."""
    proba = np.asarray(proba, dtype=np.float64)
    wanted = (n_faces, len(classes))
    if proba.shape != wanted:
        raise ValueError(f"predict_proba gave shape {proba.shape}; want {wanted}: a row an image, a column a class.")
    if not np.isfinite(proba).all():
        row = int(np.flatnonzero(~np.isfinite(proba).all(axis=1))[0])
        raise ValueError(f"predict_proba gave {proba[row].tolist()} for image {row}; want finite numbers.")
    return proba
