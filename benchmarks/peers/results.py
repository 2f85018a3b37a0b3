"""Results of a benchmark: ratios with their goals, and parity."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.peers.timing import Spread
from maskkit._display.tables import Table, Tabulated


@dataclass(frozen=True, slots=True)
class Goal:
    """Lower or upper limit of a ratio."""

    limit: float
    is_floor: bool

    def is_met(self, ratio: float) -> bool:
        """Return whether a ratio meets the goal."""
        return ratio >= self.limit if self.is_floor else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {_format(self.limit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """Comparison of a task with its peer.

    Parameters
    ----------
    family : str
        Name in `ROWS`.
    work, peer : str
    ratio : Spread
        With a lower limit as goal, how many times faster than the peer; with an upper limit, the time or memory
        as a multiple of the peer's.
    goal : Goal or None
    n_images : int
    seconds, peer_seconds : float or None
        Medians, not comparable between machines or days. None if something else than time is compared.
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
        """Return plain values that JSON can hold."""
        goal = None if self.goal is None else str(self.goal)
        met = None if self.goal is None else self.goal.is_met(self.ratio.value)
        values = {"row": self.family, "work": self.work, "peer": self.peer, **self.ratio.to_dict()}
        values |= {"goal": goal, "met": met, "n_images": self.n_images}
        return values | {"seconds": self.seconds, "peer_seconds": self.peer_seconds, "note": self.note}


@dataclass(frozen=True, slots=True)
class Parity:
    """Parity of an engine and precision with float32 in torch.

    Parameters
    ----------
    engine, precision : str
    n_images : int
    equal_labels : float or None
        Share of images with the same label, range 0 to 1; None if it cannot be measured.
    largest_difference : float or None
        Largest difference of a probability.
    faster : Spread or None
        How many times faster than float32 in torch.
    note : str
        Reason why it cannot be measured.
    """

    engine: str
    precision: str
    n_images: int
    equal_labels: float | None = None
    largest_difference: float | None = None
    faster: Spread | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self) | {"faster": None if self.faster is None else self.faster.to_dict()}


@dataclass(frozen=True, slots=True)
class Benchmark(Tabulated):
    """Results of one run.

    Parameters
    ----------
    machine : dict
        Processor, cores, versions.
    sizes : dict
        Number of images of each row.
    rows : tuple of Row
    parities : tuple of Parity
    notes : tuple of str
        Remarks for readers, such as missing weights.
    """

    machine: Mapping[str, Any]
    sizes: Mapping[str, Any]
    rows: tuple[Row, ...] = ()
    parities: tuple[Parity, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "machine": dict(self.machine),
            "sizes": dict(self.sizes),
            "rows": [row.to_dict() for row in self.rows],
            "parity": [parity.to_dict() for parity in self.parities],
            "notes": list(self.notes),
        }

    def tables(self) -> tuple[Table, ...]:
        """Return the ratios and, if measured, the parity as tables."""
        rows = tuple(
            (row.work, row.peer, *_format_spread(row.ratio), *_format_goal(row), row.n_images) for row in self.rows
        )
        columns = ("work", "compared with", "ratio", "range", "goal", "met", "images")
        tables: tuple[Table, ...] = ()
        if rows:
            legend = "Ratios are medians of rounds. Goals >=: times as fast; goals <=: times as much."
            notes = dict.fromkeys(row.note for row in self.rows if row.note)
            tables += (
                Table("maskkit compared with its peers", columns, rows, " ".join([legend, *notes, *self.notes])),
            )
        if self.parities:
            tables += (_tabulate(self.parities),)
        return tables

    def __rich__(self) -> Any:
        from rich.console import Group

        parts: list[Any] = []
        for table in self.tables():
            parts += [table, ""]
        return Group(*parts, _summarize(self.machine))


def _tabulate(parities: tuple[Parity, ...]) -> Table:
    rows = tuple(
        (
            parity.engine,
            parity.precision,
            "-" if parity.equal_labels is None else f"{parity.equal_labels:.2%}",
            "-" if parity.largest_difference is None else f"{parity.largest_difference:.4f}",
            *(("-", "-") if parity.faster is None else _format_spread(parity.faster)),
            parity.n_images,
        )
        for parity in parities
    )
    columns = ("engine", "precision", "equal labels", "largest difference", "times as fast", "range", "images")
    note = " ".join(f"{parity.engine}, {parity.precision}: {parity.note}" for parity in parities if parity.note)
    return Table("Parity with float32 in torch", columns, rows, note)


def _format_spread(ratio: Spread) -> tuple[str, str]:
    return _format(ratio.value), f"{_format(ratio.low)}-{_format(ratio.high)}"


def _format_goal(row: Row) -> tuple[str, str]:
    if row.goal is None:
        return "-", "-"
    return str(row.goal), "yes" if row.goal.is_met(row.ratio.value) else "no"


def _format(number: float) -> str:
    """Format a number with three significant digits."""
    if not math.isfinite(number):
        return "never"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _summarize(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = machine["load_average"]
    load_text = "" if load is None else f" Load at the start: {load:.1f}."
    instructions = ", ".join(machine["instructions"]) or "no vector instructions of interest"
    return f"{machine['processor']}, {machine['n_cores']} cores ({instructions}).{load_text} {versions}"
