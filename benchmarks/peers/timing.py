"""Works that take turns, so that a slow minute of the machine falls on all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Timed:
    """What one turn took and gave."""

    seconds: float
    value: Any


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio as it came out in several rounds.

    Parameters
    ----------
    value : float
        The median; infinite if more than half of the rounds never got there.
    low, high : float
        The lowest and the highest, not an interval of confidence.
    n_rounds : int
    """

    value: float
    low: float
    high: float
    n_rounds: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Spread":
        """Sum up one ratio a round."""
        return cls(statistics.median(ratios), min(ratios), max(ratios), len(ratios))

    def to_dict(self) -> dict[str, float | int | None]:
        """Give plain values that JSON can hold: what is not finite becomes None."""
        values = {"ratio": self.value, "low": self.low, "high": self.high}
        return {name: value if math.isfinite(value) else None for name, value in values.items()} | {
            "n_rounds": self.n_rounds
        }


def take_turns(
    works: Mapping[str, Callable[[int], Any]], n_rounds: int, *, say: Callable[[str], None], title: str
) -> dict[str, list[Timed]]:
    """Do each work once a round, in the other order every other round.

    Parameters
    ----------
    works : dict of str to callable
        Each takes the number of the round, from 0.
    n_rounds : int
    say : callable
        Is told what is being done.
    title : str
        What all of them are.

    Returns
    -------
    turns : dict of str to list of Timed
        One a round, by the work's name.
    """
    turns: dict[str, list[Timed]] = {name: [] for name in works}
    for number in range(n_rounds):
        for name in works if number % 2 == 0 else reversed(list(works)):
            say(f"{title}, round {number + 1} of {n_rounds}: {name}")
            start = time.perf_counter()
            value = works[name](number)
            turns[name].append(Timed(time.perf_counter() - start, value))
    return turns


def seconds_of(turns: Sequence[Timed]) -> list[float]:
    """List the seconds, one a round."""
    return [turn.seconds for turn in turns]


def divide(dividends: Sequence[float], divisors: Sequence[float]) -> Spread:
    """Divide round by round: only what ran in one round is compared."""
    return Spread.of([dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)])


def deal(items: Sequence[Any], n_parts: int) -> list[list[Any]]:
    """Deal items out to the rounds, nearly as many to each; every item is used once."""
    parts = [list(items[number::n_parts]) for number in range(n_parts)]
    if not parts[-1]:
        raise ValueError(f"there are {len(items)} images for {n_parts} rounds; want at least one a round.")
    return parts
