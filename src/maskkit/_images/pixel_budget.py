"""A bound on the pixels that threads decode and hold ahead of what is consumed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

# 32 million pixels take 100 MB as an array, and up to three times as much while they are decoded.
PIXELS_PER_WORKER = 32_000_000
_MIN_PIXELS = 2 * PIXELS_PER_WORKER

_current = threading.local()


class PixelBudget:
    """Pixels that the calls of one `prefetch_map` may hold together.

    Calls have turns, in the order in which their results are consumed. The call whose result is consumed next always
    gets its pixels, however many, so that a picture larger than the budget is decoded, alone, and nothing waits for
    ever. The others wait until their pixels fit beside those of all calls that are not consumed yet.
    """

    def __init__(self, n_workers: int) -> None:
        self.max_pixels = max(_MIN_PIXELS, n_workers * PIXELS_PER_WORKER)
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}
        self._next_turn = 0
        self._closed = False

    @contextmanager
    def turn(self, turn: int) -> Iterator[None]:
        """Charge the pixels that this thread reserves to a turn."""
        _current.budget, _current.turn = self, turn
        try:
            yield
        finally:
            _current.budget = None

    def reserve(self, turn: int, n_pixels: int) -> None:
        """Wait until so many pixels may be decoded."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or turn <= self._next_turn or self._fits(turn, n_pixels))
            self._held[turn] = max(n_pixels, self._held.get(turn, 0))

    def keep(self, turn: int, n_pixels: int) -> None:
        """Note how many pixels the result of a call holds, now that it is complete."""
        with self._changed:
            self._held[turn] = n_pixels
            self._changed.notify_all()

    def consume(self, turn: int) -> None:
        """Note that the consumer is done with the result of a turn, and waits for the next one."""
        with self._changed:
            self._held.pop(turn, None)
            self._next_turn = turn + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let every call go on, because no result is wanted any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, turn: int, n_pixels: int) -> bool:
        others = sum(held for other, held in self._held.items() if other != turn)
        return others + n_pixels <= self.max_pixels


def reserve_pixels(n_pixels: int) -> None:
    """Wait until this thread may decode so many pixels; at once outside of `prefetch_map`."""
    budget: PixelBudget | None = getattr(_current, "budget", None)
    if budget is not None:
        budget.reserve(_current.turn, n_pixels)


def count_pixels(result: Any) -> int:
    """Return the number of pixels of the images in a result: an array, a picture, or a sequence of such."""
    if isinstance(result, np.ndarray):
        return result.shape[0] * result.shape[1] if result.ndim in (2, 3) else 0
    if isinstance(result, Image.Image):
        return result.width * result.height
    if isinstance(result, (tuple, list)):
        return sum(map(count_pixels, result))
    return 0
