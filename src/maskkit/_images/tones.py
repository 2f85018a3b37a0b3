"""Scaling of pixel values to 8 bits, by the range that the file itself gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows are scaled in blocks of so many values, so that large pictures take little memory beside their own.
_BLOCK_VALUES = 4_000_000

# If no 16-bit value is larger, the file probably holds 12 bits and does not say so.
_MAX_12_BIT = 4095

_WAY_OUT = "if that is wrong, scale it to 0-255 and pass uint8"


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Storage of the values of a file: number of bits, NumPy's kind ("u", "i" or "f"), and limits if it names them.

    With `white_is_zero`, the lowest value is white.
    """

    bits: int
    kind: str = "u"
    minimum: float | None = None
    maximum: float | None = None
    white_is_zero: bool = False


def scale_to_8_bits(
    values: NDArray[Any], limits: tuple[float, float], *, white_is_zero: bool = False
) -> NDArray[np.uint8]:
    """Scale an array of any shape, rows first, so that the two limits become 0 and 255."""
    low, high = limits
    scaled = np.empty(values.shape, dtype=np.uint8)
    n_rows = max(1, _BLOCK_VALUES // max(1, values[:1].size))
    for start in range(0, len(values), n_rows):
        block = (values[start : start + n_rows].astype(np.float64) - low) * (255 / (high - low))
        block = np.rint(np.clip(block, 0, 255))
        scaled[start : start + n_rows] = 255 - block if white_is_zero else block
    return scaled


def find_limits(values: NDArray[Any], stored: ValueRange, notes: list[str]) -> tuple[float, float]:
    """Return the lowest and highest value that a file could hold; add a note if that is a guess.

    Raises ValueError if the range of the values is not known.
    """
    least, most = float(values.min()), float(values.max())
    if stored.kind == "f" or (stored.kind == "i" and least < 0):
        low, high = stored.minimum, stored.maximum
        if low is not None and high is not None and low < high and np.isfinite([least, most]).all():
            return low, high
        what = "floats" if stored.kind == "f" else "signed integers"
        raise ValueError(f"its pixels are {what} of unknown range; scale them to 0-255 and pass uint8")
    bits = stored.bits - (stored.kind == "i")
    if stored.maximum is not None and most <= stored.maximum < 2**bits - 1:
        # The file names its largest value, which shows how many of its bits are in use.
        return 0, 2 ** max(8, int(stored.maximum).bit_length()) - 1
    if bits > 16:
        # 32 bits are a common container of fewer.
        if most >= 2 ** (bits - 1):
            return 0, 2**bits - 1
        if most > 65535:
            raise ValueError("its pixels are 32-bit integers of unknown range; scale them to 0-255 and pass uint8")
        bits = 8 if most <= 255 else 16
        notes.append(f"holds 32-bit integers up to {most:.0f}, taken for {bits}-bit ones; {_WAY_OUT}")
    elif bits > 12 and 0 < most <= _MAX_12_BIT:
        notes.append(f"is nearly black: its brightest value is {most:.0f} of {2**bits - 1:,}; {_WAY_OUT}")
    return 0, 2**bits - 1
