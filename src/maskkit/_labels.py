"""What the words of face-mask data mean, however they are spelt."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

# Okabe and Ito's colour-blind safe palette (2008, "Color Universal Design"), darkened where white
# letters would not be readable on it.
BLUE, VERMILION, ORANGE = "#0072B2", "#C44E00", "#B37700"
GRAY = "#5F6368"
_OTHERS = ("#007A5A", "#A34D7D", "#3A7CA5", "#6B6B00", "#000000")

MASKED, UNMASKED, INCORRECT = "masked", "unmasked", "worn incorrectly"

_WORDS = {
    MASKED: {"withmask", "mask", "masked", "facemask", "wearingmask"},
    UNMASKED: {"withoutmask", "nomask", "unmasked", "bare", "withoutfacemask"},
    INCORRECT: {"maskwearedincorrect", "incorrectmask", "maskwornincorrectly", "incorrect"},
}
_COLORS = {MASKED: BLUE, UNMASKED: VERMILION, INCORRECT: ORANGE}


def normalize_label(label: Any) -> str:
    """Give a label's letters and digits only, in lower case: ``WithMask`` and ``with_mask`` agree."""
    return "".join(letter for letter in str(label).casefold() if letter.isalnum())


def color_of(label: Any, classes: Sequence[Any]) -> str:
    """Give a class its colour: a known word its own, any other by its place among `classes`; grey for none."""
    meaning = meaning_of(label)
    if meaning is not None:
        return _COLORS[meaning]
    if label not in classes:
        return GRAY
    return _OTHERS[list(classes).index(label) % len(_OTHERS)]


def meaning_of(label: Any) -> str | None:
    """Tell what a label is a known word for: ``MASKED``, ``UNMASKED``, ``INCORRECT`` or nothing."""
    return next((meaning for meaning, words in _WORDS.items() if normalize_label(label) in words), None)


def match_labels(labels: Iterable[Any], classes: Sequence[Any]) -> dict[Any, Any]:
    """Map each label to the class that it means.

    An equal class wins, else one that is spelt alike but for case and punctuation, so that
    ``WithMask`` meets ``with_mask``, else one that is a known word for the same: ``Masked``.

    Parameters
    ----------
    labels : iterable
    classes : sequence

    Returns
    -------
    meant : dict
        Label -> class; labels that mean none are left out.

    Raises
    ------
    ValueError
        If a label may mean two classes.
    """
    meant: dict[Any, Any] = {}
    for label in set(labels):
        normalized = normalize_label(label) if isinstance(label, str) else None
        alike = (
            [known for known in classes if known == label]
            or [known for known in classes if normalize_label(known) == normalized]
            or [known for known in classes if meaning_of(known) == meaning_of(label) is not None]
        )
        if len(alike) > 1:
            raise ValueError(f"label {label!r} may mean {' or '.join(map(repr, alike))}; rename one of them.")
        if alike:
            meant[label] = alike[0]
    return meant


def index_labels(y: ArrayLike, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Give the index of each label's class.

    An incorrectly worn mask is -1 where the classifier has no class for it: neither answer would be
    right. Any other label that means none is more likely a mistake.

    Raises
    ------
    ValueError
        If another label means none of the classes, or one may mean two.
    """
    labels = column_or_1d(y).tolist()
    meant = match_labels(labels, classes)
    unknown = sorted({repr(label) for label in labels if label not in meant and meaning_of(label) != INCORRECT})
    if unknown:
        raise ValueError(
            f"y holds {', '.join(unknown)}, which the classifier does not know; it knows "
            f"{', '.join(map(repr, classes))}. Rename the labels or leave those images out."
        )
    return np.array([classes.index(meant[label]) if label in meant else -1 for label in labels], dtype=np.int64)
