"""What a MaskClassifier's parameters may be."""

import math
from numbers import Integral, Real
from typing import Any

from sklearn.utils import check_scalar

# Parameter -> type and least value of those that may also be None.
_NUMBERS: dict[str, tuple[type, float]] = {
    "image_size": (Integral, 8),
    "batch_size": (Integral, 1),
    "epochs": (Integral, 1),
    "learning_rate": (Real, 0),
    "validation_fraction": (Real, 0),
}


def check_params(classifier: Any) -> None:
    """Check the parameters that nothing else checks, before anything is read.

    Raises
    ------
    TypeError, ValueError
        If one has a wrong type or lies out of its range; the message names it.
    """
    for name, (kind, least) in _NUMBERS.items():
        value = getattr(classifier, name)
        if value is None:
            continue
        boundaries = "both" if kind is Integral else "neither"
        most = 1 if name == "validation_fraction" else math.inf
        check_scalar(value, name, kind, min_val=least, max_val=most, include_boundaries=boundaries)
    check_scalar(classifier.threshold, "threshold", Real, min_val=0, max_val=1)
    check_scalar(classifier.min_size_px, "min_size_px", Real, min_val=0)
    if classifier.augment not in ("auto", None) and not callable(classifier.augment):
        raise ValueError(f"augment={classifier.augment!r} is unknown; use 'auto', None or a callable (image, rng).")
    weighted = classifier.class_weight
    if weighted not in (None, "balanced") and not isinstance(weighted, dict):
        raise ValueError(f"class_weight={weighted!r} is unknown; use 'balanced', a dict of classes or None.")
