"""Collections that users pass: images, labels and groups, one value per image."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_column(values: Any, name: str) -> Iterable[Any]:
    """Return a collection of values whose iteration gives one value per row, in order.

    A table of one column (pandas, polars, pyarrow), an array of shape (n, 1) and a list of lists of one value stand for
    their column. Arrays of images stay as they are.

    Raises TypeError, with `name`, if the collection has no order or rows, or several columns; ValueError if an array
    has another shape, or a value is masked.
    """
    _check_order(values, name)
    names = getattr(values, "column_names", getattr(values, "columns", None))
    if names is not None:
        return _only_column(values, list(names), name)
    if hasattr(values, "to_pylist"):  # an array of pyarrow
        return list(values.to_pylist())
    if isinstance(values, np.ndarray):
        return _flatten(values, name)
    lists = (list, tuple)
    if isinstance(values, lists) and all(isinstance(value, lists) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values


def as_labels(y: Any, name: str = "y") -> NDArray[Any]:
    """Return labels as an array of shape (n,).

    Raises TypeError, ValueError if they are no column, one is missing, or they mix str with another type; the message
    holds `name` and the row.
    """
    if isinstance(y, (str, bytes)):
        raise TypeError(f"{name} is the {type(y).__name__} {y!r}; want a list of labels, one per image.")
    column = as_column(y, name)
    labels = np.asarray(column) if hasattr(column, "__array__") else None
    values = list(column) if labels is None else labels.tolist()
    for row, label in enumerate(values if isinstance(values, list) else ()):
        if is_missing(label):
            raise ValueError(f"{name}[{row}] is {label!r}; want a label for every image.")
    # NumPy would silently convert a list of str and int to str.
    kinds = {type(label) for label in values}
    if any(issubclass(kind, str) for kind in kinds) and not all(issubclass(kind, str) for kind in kinds):
        raise ValueError(
            f"{name} mixes labels of {', '.join(sorted(kind.__name__ for kind in kinds))}; want all str or all int."
        )
    labels = np.asarray(values) if labels is None else labels
    if labels.ndim != 1:
        raise ValueError(f"{name} should be a 1d array, one label per image, but has shape {labels.shape}.")
    return labels


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, or another that stands for a missing one, such as that of pandas."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA, compared with itself, is neither true nor false
        return True
    except ValueError:  # an array, whose values would have to be compared one by one
        return False


def _check_order(values: Any, name: str) -> None:
    """Raise TypeError unless a collection gives its values one by one in an order."""
    kind = type(values).__name__
    if isinstance(values, (set, frozenset)):
        raise TypeError(
            f"{name} is a {kind}, whose order is arbitrary, so that results and labels would not match; "
            f"pass a list, such as sorted({name})."
        )
    if isinstance(values, Mapping):
        keys = ", ".join(repr(key) for key in list(values)[:3])
        raise TypeError(f"{name} is a {kind} with the keys {keys}; pass one of its values, or a list of them.")
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name} is a sparse {kind}; want a list, one value per image.")
    if not any(hasattr(values, method) for method in ("__iter__", "__array__", "column_names")):
        raise TypeError(f"{name} is of type {kind}; want a list, one value per image.")


def _only_column(table: Any, names: list[Any], name: str) -> Any:
    """Return the values of a table that has one column."""
    if len(names) != 1:
        shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
        raise TypeError(f"{name} is a table with {len(names)} columns ({shown}); pass one of them, {name}[column].")
    if hasattr(table, "iloc"):  # a data frame of pandas, whose columns may have any names
        return table.iloc[:, 0]
    return as_column(table[names[0]], name)


def _flatten(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return an array without its second dimension if that has one value; refuse other tables of strings or objects."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        row = np.argwhere(np.ma.getmaskarray(array))[0].tolist()
        raise ValueError(f"{name}[{', '.join(map(str, row))}] is masked; want a value for every image.")
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim == 0 or (array.ndim > 1 and array.dtype.kind in "OSU"):
        hint = f" Pass {name}.ravel()." if array.shape[:1] == (1,) else ""
        raise ValueError(f"{name} has shape {array.shape}; want (n,), one value per image.{hint}")
    return array
