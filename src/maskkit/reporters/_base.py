"""The contract between maskkit and a reporter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Parameters
    ----------
    value : float
        The figure; NaN where nothing could be counted.
    low, high : float
        Ends of the 95 % interval.
    n : int
        What it was counted on.
    """

    value: float
    low: float
    high: float
    n: int


Cell: TypeAlias = str | int | float | Estimate | None
"""What a table holds."""

Rows: TypeAlias = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be shown.

    Parameters
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuples
        Cells are str, int, float, `Estimate` or None.
    note : str
        A sentence below the table; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: Rows
    note: str = ""


class Report(Protocol):
    """What a reporter is given: the part that every evaluation offers."""

    def metrics(self) -> dict[str, Estimate]:
        """Every figure by a flat name, such as ``"accuracy"`` or ``"recall/with_mask"``."""
        ...

    def tables(self) -> Sequence[Table]:
        """Give the figures as tables to show."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        ...

    def figures(self) -> dict[str, "Figure"]:
        """Draw pictures, matplotlib figures by name."""
        ...


class Reporter(Protocol):
    """Takes an evaluation somewhere: a terminal, a file, a picture, a tracker."""

    def report(self, evaluation: Report) -> Path | None:
        """Report an evaluation and give the file or folder written, if any."""
        ...
