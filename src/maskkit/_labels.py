"""What the words of face-mask data mean, however they are spelt."""

from collections.abc import Sequence
from typing import Any

# Okabe and Ito's colour-blind safe palette (2008, "Color Universal Design"), darkened where white
# letters would not be readable on it.
BLUE, VERMILION, ORANGE = "#0072B2", "#C44E00", "#B37700"
_OTHERS = ("#007A5A", "#A34D7D", "#3A7CA5", "#6B6B00", "#000000")

_MEANINGS = {
    BLUE: {"withmask", "mask", "masked", "facemask", "wearingmask"},
    VERMILION: {"withoutmask", "nomask", "unmasked", "bare", "withoutfacemask"},
    ORANGE: {"maskwearedincorrect", "incorrectmask", "maskwornincorrectly", "incorrect"},
}


def spelling(label: Any) -> str:
    """Give a label's letters and digits only, in lower case: ``WithMask`` and ``with_mask`` agree."""
    return "".join(letter for letter in str(label).casefold() if letter.isalnum())


def colour_of(label: Any, classes: Sequence[Any]) -> str:
    """Give a class its colour: a known word its own, any other by its place among `classes`."""
    for colour, words in _MEANINGS.items():
        if spelling(label) in words:
            return colour
    return _OTHERS[list(classes).index(label) % len(_OTHERS)]
