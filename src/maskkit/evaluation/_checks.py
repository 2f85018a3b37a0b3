"""What evaluations check before they count."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_scalar


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
