"""What a benchmark gives: rows of ratios beside their goals, and how they are shown."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.peers.timing import Spread
from maskkit._display.tables import Table, Tabulated, to_rich


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should be: at least, or at most, so much."""

    limit: float
    is_floor: bool

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio reaches it."""
        return ratio >= self.limit if self.is_floor else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {_write(self.limit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One work beside its peer.

    Parameters
    ----------
    family : str
        The name in `ROWS`.
    work, peer : str
    ratio : Spread
        With a goal to reach, how many times faster than the peer; with one not to exceed, what it
        takes as a multiple of the peer's.
    goal : Goal or None
    n_images : int
    seconds, peer_seconds : float or None
        Medians; they mean nothing on another machine or another day. None where time is not what is
        compared.
    note : str
    """

    family: str
    work: str
    peer: str
    ratio: Spread
    goal: Goal | None
    n_images: int
    seconds: float | None = None
    peer_seconds: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        goal = None if self.goal is None else str(self.goal)
        met = None if self.goal is None else self.goal.is_met(self.ratio.value)
        plain = {"row": self.family, "work": self.work, "peer": self.peer, **self.ratio.to_dict()}
        plain |= {"goal": goal, "met": met, "n_images": self.n_images}
        return plain | {"seconds": self.seconds, "peer_seconds": self.peer_seconds, "note": self.note}


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one way of computing is from float32 in torch.

    Parameters
    ----------
    engine, precision : str
    n_images : int
    equal_labels : float or None
        Share of images given the same label, range 0 to 1; None if it cannot be had.
    largest_difference : float or None
        Of a probability.
    faster : Spread or None
        Than float32 in torch.
    note : str
        Why it cannot be had.
    """

    engine: str
    precision: str
    n_images: int
    equal_labels: float | None = None
    largest_difference: float | None = None
    faster: Spread | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self) | {"faster": None if self.faster is None else self.faster.to_dict()}


@dataclass(frozen=True, slots=True)
class Benchmark(Tabulated):
    """All that was measured in one run.

    Parameters
    ----------
    machine : dict
        Processor, cores, versions.
    sizes : dict
        How many images each row asked for.
    rows : tuple of Row
    parities : tuple of Parity
    notes : tuple of str
        What a reader has to know, such as weights that could not be had.
    """

    machine: Mapping[str, Any]
    sizes: Mapping[str, Any]
    rows: tuple[Row, ...] = ()
    parities: tuple[Parity, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "machine": dict(self.machine),
            "sizes": dict(self.sizes),
            "rows": [row.to_dict() for row in self.rows],
            "parity": [parity.to_dict() for parity in self.parities],
            "notes": list(self.notes),
        }

    def tables(self) -> tuple[Table, ...]:
        """Give the ratios and, where it was measured, the parity as tables."""
        rows = tuple((row.work, row.peer, *_show(row.ratio), *_judge(row), row.n_images) for row in self.rows)
        columns = ("work", "against", "ratio", "range", "goal", "met", "images")
        found: tuple[Table, ...] = ()
        if rows:
            about = "Ratios are medians of rounds: goals >= how often as fast, goals <= how many times as much."
            notes = dict.fromkeys(row.note for row in self.rows if row.note)
            found += (Table("maskkit beside its peers", columns, rows, " ".join([about, *notes, *self.notes])),)
        if self.parities:
            found += (_tabulate(self.parities),)
        return found

    def __rich__(self) -> Any:
        from rich.console import Group

        parts: list[Any] = []
        for table in self.tables():
            parts += [to_rich(table), ""]
        return Group(*parts, _summarise(self.machine))


def _tabulate(parities: tuple[Parity, ...]) -> Table:
    rows = tuple(
        (
            parity.engine,
            parity.precision,
            "-" if parity.equal_labels is None else f"{parity.equal_labels:.2%}",
            "-" if parity.largest_difference is None else f"{parity.largest_difference:.4f}",
            *(("-", "-") if parity.faster is None else _show(parity.faster)),
            parity.n_images,
        )
        for parity in parities
    )
    columns = ("engine", "precision", "equal labels", "largest difference", "times as fast", "range", "images")
    note = " ".join(f"{parity.engine}, {parity.precision}: {parity.note}" for parity in parities if parity.note)
    return Table("Parity with float32 in torch", columns, rows, note)


def _show(ratio: Spread) -> tuple[str, str]:
    return _write(ratio.value), f"{_write(ratio.low)}-{_write(ratio.high)}"


def _judge(row: Row) -> tuple[str, str]:
    if row.goal is None:
        return "-", "-"
    return str(row.goal), "yes" if row.goal.is_met(row.ratio.value) else "no"


def _write(number: float) -> str:
    """Write three digits that count."""
    if not math.isfinite(number):
        return "never"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _summarise(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = machine["load_average"]
    busy = "" if load is None else f" Load when it began: {load:.1f}."
    instructions = ", ".join(machine["instructions"]) or "none of those that matter"
    return f"{machine['processor']}, {machine['n_cores']} cores ({instructions}).{busy} {versions}"
