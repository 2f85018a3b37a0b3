"""Meanings and colors of the labels of face-mask data, in any spelling."""

import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit._checks.columns import as_labels

# Okabe and Ito's palette for color-blind readers (2008, "Color Universal Design"), darkened where
# white text on it would not be readable.
BLUE, VERMILION, ORANGE = "#0072B2", "#C44E00", "#B37700"
GRAY = "#5F6368"
_OTHERS = ("#007A5A", "#A34D7D", "#3A7CA5", "#6B6B00", "#000000")

MASKED, UNMASKED, INCORRECT = "masked", "unmasked", "worn incorrectly"

_WORDS = {
    MASKED: {"withmask", "mask", "masked", "facemask", "wearingmask"},
    UNMASKED: {"withoutmask", "nomask", "unmasked", "bare", "withoutfacemask"},
    INCORRECT: {"maskwearedincorrect", "incorrectmask", "maskwornincorrectly", "incorrect"},
}
# A dot between digits, as in a version, is no separator of words.
_SEPARATORS = re.compile(r"[\s_-]|(?<!\d)\.|\.(?!\d)")
# What missing values of pandas and NumPy become when they are converted to text.
_MISSING_AS_TEXT = {"nan", "NaN", "<NA>", "NaT"}
_COLORS = {MASKED: BLUE, UNMASKED: VERMILION, INCORRECT: ORANGE}


def normalize_label(label: Any) -> str:
    """Return the letters and digits of a label in lower case: ``WithMask`` and ``with_mask`` become equal.

    A label without letters and digits is returned as it is.
    """
    text = unicodedata.normalize("NFKC", str(label))
    return "".join(letter for letter in text.casefold() if letter.isalnum()) or text


def find_twins(labels: Iterable[Any]) -> list[list[str]]:
    """Return the groups of labels that differ in case, spaces, dots, underscores, hyphens or accents' encoding, sorted.

    Only str are compared, and numbers are never twins.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for label in labels:
        if isinstance(label, str) and not re.fullmatch(r"[\s\d.+-]*", label):
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
            groups[_SEPARATORS.sub("", folded)].add(str(label))
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def describe_twins(twins: Sequence[Sequence[str]]) -> str:
    """Return the twins of `find_twins` as words for a message."""
    return ", ".join(" and ".join(map(repr, group)) for group in twins)


def warn_of_labels(labels: Iterable[Any], name: str, stacklevel: int = 3) -> None:
    """Warn the caller's caller of labels that are probably not the classes that were meant.

    These are labels that differ in spelling only, labels of one known meaning, and missing values converted to text:
    each is a class of its own.
    """
    distinct = {label for label in labels if isinstance(label, str)}
    twins = find_twins(distinct)
    texts = []
    if twins:
        texts.append(
            f"{describe_twins(twins)}, which differ only in spelling but are different classes; rename one if they "
            f"mean the same."
        )
    elif synonyms := _find_synonyms(distinct):
        texts.append(f"{describe_twins(synonyms)}, which mean the same but are different classes; rename one.")
    if missing := sorted(distinct & _MISSING_AS_TEXT):
        texts.append(
            f"{missing[0]!r}, which a missing value becomes as text, and which is a class of its own; leave such rows "
            f"out."
        )
    for text in texts:
        warnings.warn(f"{name} holds {text}", UserWarning, stacklevel=stacklevel)


def _find_synonyms(labels: Iterable[str]) -> list[list[str]]:
    """Return the groups of labels of one known meaning, such as ``mask`` and ``with_mask``, sorted."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        if (meaning := meaning_of(label)) is not None:
            groups[meaning].append(str(label))
    return [group for group in groups.values() if len(group) > 1]


def warn_of_unknown(labels: Iterable[Any], classes: Sequence[Any]) -> None:
    """Warn the caller's caller of labels that are no class, which no prediction can equal."""
    unknown = sorted({repr(label) for label in set(labels) - set(classes)})
    if unknown:
        shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        warnings.warn(
            f"y holds {shown}, which is not a class of the classifier, and counts as a mistake; its classes are "
            f"{', '.join(map(repr, classes))}. Spell labels as the classes, or use evaluate, which matches spellings.",
            UserWarning,
            stacklevel=3,
        )


def check_class_weight(class_weight: Any, classes: Sequence[Any]) -> None:
    """Raise ValueError if a key of `class_weight` is a class in another spelling; scikit-learn might ignore it."""
    keys = set(class_weight) - set(classes) if isinstance(class_weight, dict) else set()
    if twins := [group for group in find_twins([*keys, *classes]) if keys.intersection(group)]:
        raise ValueError(
            f"class_weight spells a class in another way: {describe_twins(twins)}; the classes are "
            f"{', '.join(map(repr, classes))}. Spell the keys as the classes."
        )


def color_of(label: Any, classes: Sequence[Any]) -> str:
    """Return the color of a class: by its meaning if known, else by its index in `classes`; gray if not a class."""
    meaning = meaning_of(label)
    if meaning is not None:
        return _COLORS[meaning]
    if label not in classes:
        return GRAY
    return _OTHERS[list(classes).index(label) % len(_OTHERS)]


def meaning_of(label: Any) -> str | None:
    """Return the meaning of a label: ``MASKED``, ``UNMASKED``, ``INCORRECT``, or None if it is unknown."""
    return next((meaning for meaning, words in _WORDS.items() if normalize_label(label) in words), None)


def match_labels(labels: Iterable[Any], classes: Sequence[Any]) -> dict[Any, Any]:
    """Map each label to the class of the same meaning; labels without a class are left out.

    An equal class comes first, then one that differs in case and punctuation only (``WithMask`` and
    ``with_mask``), then one of the same known meaning (``Masked``). Raises ValueError if two match.
    """
    matches: dict[Any, Any] = {}
    for label in set(labels):
        normalized = normalize_label(label) if isinstance(label, str) else None
        alike = (
            [known for known in classes if known == label]
            or [known for known in classes if normalize_label(known) == normalized]
            or [known for known in classes if meaning_of(known) == meaning_of(label) is not None]
        )
        if len(alike) > 1:
            raise ValueError(f"label {label!r} matches {' and '.join(map(repr, alike))}; rename one of them.")
        if alike:
            matches[label] = alike[0]
    return matches


def index_labels(y: ArrayLike, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the index of each label's class.

    The index of an incorrectly worn mask is -1 if the classifier has no class for it, because no
    prediction would be correct. Any other label without a class is probably a mistake.

    Raises TypeError, ValueError if `y` is no column of labels, another label matches none of the classes, or one
    matches two.
    """
    labels = as_labels(y).tolist()
    matches = match_labels(labels, classes)
    unknown = sorted({repr(label) for label in labels if label not in matches and meaning_of(label) != INCORRECT})
    if unknown:
        raise ValueError(
            f"y holds {', '.join(unknown)}, which is not a class of the classifier; its classes are "
            f"{', '.join(map(repr, classes))}. Rename the labels or leave those images out."
        )
    return np.array([classes.index(matches[label]) if label in matches else -1 for label in labels], dtype=np.int64)
