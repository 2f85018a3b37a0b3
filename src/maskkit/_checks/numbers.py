"""Numbers of any library: converted to Python's, and compared only if they are finite."""

import math
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from maskkit.exceptions import NotFiniteError


def to_python(value: Any) -> Any:
    """Convert a number of any library to Python's bool, int or float; return other values unchanged.

    Scalars and arrays without dimensions of NumPy, PyTorch and others, Fraction and Decimal are numbers.
    """
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, (Real, Decimal)) else value


def convert_numbers(value: Any) -> Any:
    """Convert numbers in a value to Python's, also those in lists, tuples and dicts; arrays become lists."""
    if isinstance(value, dict):
        return {to_python(key): convert_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        converted = list(map(convert_numbers, value))
        return tuple(converted) if isinstance(value, tuple) else converted
    if isinstance(value, np.ndarray) and value.ndim:
        return [convert_numbers(item) for item in value.tolist()]
    return to_python(value)


def check_int(value: Any, name: str, min_val: int | None = None, max_val: int | None = None) -> int:
    """Return a whole number of any library as an int; a float such as 32.0 is one, too.

    Raises TypeError if it is none, and ValueError if it is NaN, infinite or out of range; the message names it.
    """
    number = to_python(value)
    _check_finite(number, name)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    check_scalar(number, name, Integral, min_val=min_val, max_val=max_val)
    return int(number)


def check_flag(value: Any, name: str) -> bool:
    """Return True or False; raise TypeError for anything else, because any text would mean True."""
    flag = to_python(value)
    if not isinstance(flag, bool):
        raise TypeError(f"{name} is {value!r:.40}; want True or False.")
    return flag


def check_max_px(max_px: Any) -> int | None:
    """Return a largest number of pixels as an int, or None where there is none given."""
    return None if max_px is None else check_int(max_px, "max_px", 1)


def check_float(
    value: Any,
    name: str,
    min_val: float | None = None,
    max_val: float | None = None,
    *,
    include_boundaries: str = "both",
) -> float:
    """Return a number of any library as a float.

    `include_boundaries` is that of scikit-learn's `check_scalar`. Raises TypeError if it is no number, and ValueError
    if it is NaN, infinite or out of range; the message names it.
    """
    number = to_python(value)
    _check_finite(number, name)
    check_scalar(number, name, Real, min_val=min_val, max_val=max_val, include_boundaries=include_boundaries)
    return float(number)


def to_array(values: Any, name: str) -> NDArray[np.float64]:
    """Return numbers of any library as a float64 array; raise ValueError if one is no number."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    try:
        return np.asarray(convert_numbers(values), dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{name} holds something that is not a number ({exc}); want finite numbers.") from exc


def check_finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return numbers as a float64 array; raise ValueError if one is NaN or infinite, or is no number."""
    numbers = to_array(values, name)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        place = f"{name}[{', '.join(map(str, wrong[0]))}]" if numbers.ndim else name
        raise ValueError(f"{place} is {numbers[tuple(wrong[0])]}; want finite numbers.")
    return numbers


def _check_finite(number: Any, name: str) -> None:
    """Raise ValueError if a number is NaN or infinite, because every comparison with NaN is false."""
    try:
        is_finite = not isinstance(number, Real) or math.isfinite(number)
    except OverflowError:  # an int beyond the largest float
        is_finite = False
    if not is_finite:
        raise ValueError(f"{name}={number!r:.40} is not a finite number; want one.")


# How far probabilities of a head may be from 0 to 1 and from a sum of 1, as rounding in float16 makes them.
_PROBA_TOLERANCE = 0.01


def check_proba(proba: NDArray[np.float64], n_classes: int, name: str) -> NDArray[np.float64]:
    """Return the probabilities (n_images, n_classes) that `predict_proba` of a class of this name computed.

    Raises NotFiniteError or ValueError if they are anything but probabilities of the classes.
    """
    # The largest of probabilities that are NaN is the first class, whatever the image shows.
    if not np.isfinite(proba).all():
        raise NotFiniteError(
            f"{name} predicted probabilities that are NaN or infinite, because it holds such "
            f"weights; train it again, with a lower learning rate if that diverged."
        )
    if proba.ndim != 2 or proba.shape[1] != n_classes:
        raise ValueError(
            f"predict_proba of {name} returned shape {proba.shape} for {n_classes} classes; want one "
            f"row per image and one column per class."
        )
    if proba.min() < -_PROBA_TOLERANCE or np.abs(proba.sum(axis=1) - 1).max() > _PROBA_TOLERANCE:
        raise ValueError(
            f"predict_proba of {name} returned the row {proba[np.abs(proba.sum(axis=1) - 1).argmax()].tolist()}, "
            f"which are no probabilities; want numbers from 0 to 1 that sum to 1."
        )
    return proba
