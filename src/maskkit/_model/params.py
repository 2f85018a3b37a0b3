"""Parameters of estimators: checks, conversion of their numbers, and changes after a fit."""

import inspect
import math
import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from maskkit._checks.numbers import check_float, check_int, to_python
from maskkit._images.sources import shorten
from maskkit._text import check_path
from maskkit.exceptions import OutputError

# Whole numbers and their minimum.
_INTEGERS: dict[str, int | None] = {
    "image_size": 8,
    "batch_size": 1,
    "gradient_accumulation_steps": 1,
    "epochs": 1,
    "hidden_units": 1,
    "patience": 1,
    "verbose": None,
}

# Other numbers: minimum, maximum, and which of these bounds are allowed values.
_REALS: dict[str, tuple[float, float, str]] = {
    "learning_rate": (0, math.inf, "neither"),
    "weight_decay": (0, math.inf, "left"),
    "dropout": (0, 1, "left"),
    "validation_fraction": (0, 1, "neither"),
    "threshold": (0, 1, "both"),
    "min_size_px": (0, math.inf, "left"),
}

_FLAGS = ("warm_start", "find_face", "early_stopping")

# Parameters whose None is a choice of its own, not the default.
_MAY_BE_NONE = ("weights", "augment", "cache")


def check_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator, checked, with numbers of any library converted to Python's.

    scikit-learn forbids that the estimator's own ones change, so whoever computes with parameters takes them from here.
    Raises TypeError, ValueError if one has a wrong type or is out of range; None must be the default or a choice.
    """
    params: dict[str, Any] = estimator.get_params(deep=False)
    defaults = inspect.signature(type(estimator)).parameters
    for name, value in params.items():
        default = defaults[name].default
        if value is not None:
            params[name] = _check_value(name, value)
        elif default is not None and name not in _MAY_BE_NONE:
            raise ValueError(f"{name} is None; want a value, such as the default, {default!r}.")
    return params


def _check_value(name: str, value: Any) -> Any:
    if name in _INTEGERS:
        return check_int(value, name, _INTEGERS[name])
    if name in _REALS:
        minimum, maximum, boundaries = _REALS[name]
        return check_float(value, name, minimum, maximum, include_boundaries=boundaries)
    if name in _FLAGS:
        flag = to_python(value)
        if not isinstance(flag, (bool, int, float)) or flag not in (0, 1):
            raise ValueError(f"{name}={value!r} is unknown; use True or False.")
        return bool(flag)
    # A generator of random numbers stays what it is.
    if name == "random_state" and isinstance(to_python(value), (bool, int, float)):
        return check_int(value, name, 0, 2**32 - 1)
    if name == "class_weight":
        return _check_class_weight(value)
    if name == "checkpoint" and not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"checkpoint={value!r} is not a path; want the path of a folder, or None.")
    if name == "checkpoint":
        check_path(value, OutputError)
    if name == "augment" and not (isinstance(value, str) and value in ("auto", "device")) and not callable(value):
        raise ValueError(f"augment={value!r} is unknown; use 'auto', 'device', None or a callable (image, rng).")
    return to_python(value) if name == "fine_tune" else value


def _check_class_weight(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {to_python(label): check_float(weight, f"class_weight[{label!r}]", 0) for label, weight in value.items()}
    if not isinstance(value, str) or value != "balanced":
        raise ValueError(f"class_weight={value!r} is unknown; use 'balanced', a dict of classes or None.")
    return value


class FitRecord:
    """The parameters that an estimator was fitted with, to notice changes that need a new fit.

    `heeded` are the parameters that predictions follow; a change of another one would be ignored in silence.
    """

    def __init__(self, estimator: Any, heeded: Collection[str]):
        self.params = _list_trained(estimator, heeded)
        self.heeded = tuple(heeded)

    def check_unchanged(self, estimator: Any) -> None:
        """Raise NotFittedError if a parameter has changed since the fit that predictions cannot follow."""
        now = _list_trained(estimator, self.heeded)
        for name in {**self.params, **now}:
            before, after = self.params.get(name), now.get(name)
            if not _is_same(before, after):
                raise NotFittedError(
                    f"{name} was set to {shorten(repr(after), 60)} after the fit, which had "
                    f"{shorten(repr(before), 60)}; call fit again, or set it back."
                )


def _list_trained(estimator: Any, heeded: Collection[str]) -> dict[str, Any]:
    params = estimator.get_params(deep=True)
    return {name: value for name, value in params.items() if name.partition("__")[0] not in heeded}


def _is_same(before: Any, after: Any) -> bool:
    if before is after:
        return True
    before, after = to_python(before), to_python(after)
    if isinstance(before, float) and isinstance(after, float) and math.isnan(before):
        return math.isnan(after)
    try:
        return bool(np.array_equal(before, after)) if isinstance(before, np.ndarray) else bool(before == after)
    except (TypeError, ValueError):  # objects that cannot be compared
        return False
