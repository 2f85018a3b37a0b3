"""How evaluations reach reporters, and how their figures are written down."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from maskkit import _plugins
from maskkit._display.tables import Estimate
from maskkit.exceptions import PluginError
from maskkit.reporters._base import Report, Reporter


def resolve_reporters(reporters: str | Reporter | Iterable[str | Reporter]) -> list[Reporter]:
    """List reporters that were given as names or instances, one or several.

    Raises
    ------
    PluginError
        If a name is unknown or its plugin does not load.
    """
    given = [reporters] if isinstance(reporters, str) or hasattr(reporters, "report") else list(reporters)
    return [_plugins.resolve("reporters", reporter) for reporter in given]


def report_to(reporters: Iterable[Reporter], evaluation: Report) -> list[Path]:
    """Hand an evaluation to reporters, to each whatever becomes of the others.

    Returns
    -------
    written : list of Path
        Files and folders, of those reporters that write some.

    Raises
    ------
    PluginError
        If some fail, once all had their turn; its `evaluation` is what was measured.
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


def plain(estimate: Estimate) -> dict[str, float | int | None]:
    """Give an estimate as JSON can hold it: NaN becomes None."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: None if math.isnan(value) else value for name, value in values.items()} | {"n": estimate.n}


def name_left_out(left_out: Mapping[str, int]) -> str:
    """Say which faces were not judged; nothing if all were."""
    if not left_out:
        return ""
    counts = ", ".join(f"{count:,} {label}" for label, count in left_out.items())
    return f"Left out, since the model has no such class: {counts}."
