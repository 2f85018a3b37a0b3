"""Timing of tasks in turns, so that a slow minute of the machine affects all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Timed:
    """Duration and result of one turn."""

    seconds: float
    value: Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range of a ratio over several rounds.

    Parameters
    ----------
    value : float
        Median; infinite if more than half of the rounds did not finish.
    low, high : float
        Minimum and maximum, not a confidence interval.
    n_rounds : int
    """

    value: float
    low: float
    high: float
    n_rounds: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Spread":
        """Summarize one ratio per round."""
        return cls(statistics.median(ratios), min(ratios), max(ratios), len(ratios))

    def to_dict(self) -> dict[str, float | int | None]:
        """Return plain values that JSON can hold; infinite values become None."""
        values = {"ratio": self.value, "low": self.low, "high": self.high}
        return {name: value if math.isfinite(value) else None for name, value in values.items()} | {
            "n_rounds": self.n_rounds
        }


def take_turns(
    works: Mapping[str, Callable[[int], Any]], n_rounds: int, *, report: Callable[[str], None], title: str
) -> dict[str, list[Timed]]:
    """Run each task once per round, in reverse order in every second round.

    Parameters
    ----------
    works : dict of str to callable
        Functions of the number of the round, from 0.
    n_rounds : int
    report : callable
        Called with a progress message before each turn.
    title : str
        Title of the progress messages.

    Returns
    -------
    turns : dict of str to list of Timed
        One turn per round, by the name of the task.
    """
    turns: dict[str, list[Timed]] = {name: [] for name in works}
    for number in range(n_rounds):
        for name in works if number % 2 == 0 else reversed(list(works)):
            report(f"{title}, round {number + 1} of {n_rounds}: {name}")
            start = time.perf_counter()
            value = works[name](number)
            turns[name].append(Timed(time.perf_counter() - start, value))
    return turns


def seconds_of(turns: Sequence[Timed]) -> list[float]:
    """Return the seconds of each turn."""
    return [turn.seconds for turn in turns]


def divide(dividends: Sequence[float], divisors: Sequence[float]) -> Spread:
    """Divide round by round, because only times of the same round are comparable."""
    return Spread.of([dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)])


def split_rounds(items: Sequence[Any], n_parts: int) -> list[list[Any]]:
    """Split items among rounds of nearly equal size; every item is used once."""
    parts = [list(items[number::n_parts]) for number in range(n_parts)]
    if not parts[-1]:
        raise ValueError(f"there are {len(items)} images for {n_parts} rounds; want at least one per round.")
    return parts
