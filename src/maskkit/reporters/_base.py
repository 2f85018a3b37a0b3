"""The contract between maskkit and a reporter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from maskkit._display.tables import Estimate as Estimate, Table as Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
