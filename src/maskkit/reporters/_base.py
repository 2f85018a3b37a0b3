"""Interface of a reporter."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from maskkit import _plugins
from maskkit._display.tables import Estimate as Estimate, Table as Table
from maskkit.exceptions import PluginError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Report(Protocol):
    """The methods of an evaluation that reporters use."""

    def metrics(self) -> dict[str, Estimate]:
        """Return all metrics by name, such as ``"accuracy"`` or ``"recall/with_mask"``."""
        ...

    def tables(self) -> Sequence[Table]:
        """Return the metrics as tables."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        ...

    def figures(self) -> dict[str, "Figure"]:
        """Draw plots, as matplotlib figures by name."""
        ...


class Reporter(Protocol):
    """Sends an evaluation to a terminal, a file, a plot or an experiment tracker."""

    def report(self, evaluation: Report) -> Path | None:
        """Report an evaluation; return the file or folder that was written, if any."""
        ...


def resolve_reporters(reporters: str | Reporter | Iterable[str | Reporter]) -> list[Reporter]:
    """Return reporters that are passed as names or instances, one or several.

    Raises PluginError if a name is unknown or its plugin cannot be loaded, and OutputError if a reporter that has the
    method `check_target` finds that it could not write.
    """
    given = [reporters] if isinstance(reporters, str) or hasattr(reporters, "report") else list(reporters)
    resolved: list[Reporter] = [_plugins.resolve("reporters", reporter) for reporter in given]
    for reporter in resolved:
        getattr(reporter, "check_target", lambda: None)()
    return resolved


def report_to(reporters: Iterable[Reporter], evaluation: Report) -> list[Path]:
    """Pass an evaluation to reporters, to each of them even if others fail.

    Raises PluginError if some fail, after all have been called; its attribute `evaluation` is the evaluation.

    Returns
    -------
    written : list of Path
        Files and folders that were written.
    """
    written: list[Path] = []
    failed: list[PluginError] = []
    for reporter in reporters:
        try:
            with _plugins.plugin_errors("reporters", reporter, "report()"):
                path = reporter.report(evaluation)
        except PluginError as exc:
            failed.append(exc)
        else:
            written += [] if path is None else [path]
    if failed:
        for other in failed[1:]:
            failed[0].add_note(str(other))
        failed[0].evaluation = evaluation
        raise failed[0]
    return written
