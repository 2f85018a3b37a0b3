"""Checks of estimator parameters."""

import math
import os
from numbers import Integral, Real
from typing import Any

from sklearn.utils import check_scalar

from maskkit._text import check_path
from maskkit.exceptions import OutputError

# Parameter -> type, minimum, maximum, and which of these bounds are allowed values.
_NUMBERS: dict[str, tuple[type, float, float, str]] = {
    "image_size": (Integral, 8, math.inf, "both"),
    "batch_size": (Integral, 1, math.inf, "both"),
    "gradient_accumulation_steps": (Integral, 1, math.inf, "both"),
    "epochs": (Integral, 1, math.inf, "both"),
    "hidden_units": (Integral, 1, math.inf, "both"),
    "patience": (Integral, 1, math.inf, "both"),
    "learning_rate": (Real, 0, math.inf, "neither"),
    "weight_decay": (Real, 0, math.inf, "left"),
    "dropout": (Real, 0, 1, "left"),
    "validation_fraction": (Real, 0, 1, "neither"),
    "threshold": (Real, 0, 1, "both"),
    "min_size_px": (Real, 0, math.inf, "left"),
}


def check_params(estimator: Any) -> None:
    """Check the types and ranges of parameters before any image is read; None stands for a default.

    Raises TypeError, ValueError if a parameter has a wrong type or is out of range; the message names it.
    """
    params = estimator.get_params(deep=False)
    for name, (kind, minimum, maximum, boundaries) in _NUMBERS.items():
        if params.get(name) is not None:
            check_scalar(params[name], name, kind, min_val=minimum, max_val=maximum, include_boundaries=boundaries)
    checkpoint = params.get("checkpoint")
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f"checkpoint={checkpoint!r} is not a path; want the path of a folder, or None.")
    if checkpoint is not None:
        check_path(checkpoint, OutputError)
    augment = params.get("augment")
    if augment not in ("auto", None) and not callable(augment):
        raise ValueError(f"augment={augment!r} is unknown; use 'auto', None or a callable (image, rng).")
    weighted = params.get("class_weight")
    if weighted not in (None, "balanced") and not isinstance(weighted, dict):
        raise ValueError(f"class_weight={weighted!r} is unknown; use 'balanced', a dict of classes or None.")
