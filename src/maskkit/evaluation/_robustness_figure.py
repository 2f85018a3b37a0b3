"""The picture of a robustness report."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from maskkit._display.tables import Estimate
from maskkit._labels import color_of
from maskkit.evaluation._figures import layout
from maskkit.evaluation._worsen import CONDITIONS

if TYPE_CHECKING:
    from maskkit.evaluation._robustness import Robustness


def draw(robustness: "Robustness") -> Figure:
    """Draw accuracy with its interval, and the recall of each class, one small chart a condition."""
    figure = Figure(figsize=(9.4, 6.6), dpi=120, layout=layout())
    charts = figure.subplots(2, 2, sharey=True).ravel()
    lowest = min(estimate.low for estimate in robustness.metrics().values() if estimate.n)
    # From the next ten percent down: most of the range may be empty.
    bottom = np.floor(10 * lowest) / 10
    for axes, condition in zip(charts, CONDITIONS, strict=True):
        curve = robustness.curves[condition.name]
        steps = [robustness.unchanged, *curve.values()]
        places = np.arange(len(steps))
        for label in robustness.classes:
            recall = [figures[f"recall/{label}"].value for figures in steps]
            colour = color_of(label, robustness.classes)
            axes.plot(
                places, recall, color=colour, linewidth=1.3, marker="o", markersize=3, label=f" recall of {label}"
            )
        low, value, high = _split([figures["accuracy"] for figures in steps])
        axes.fill_between(places, low, high, color="black", alpha=0.15, linewidth=0)
        axes.plot(places, value, color="black", linewidth=2, label=" accuracy, 95 % interval")
        axes.set_xticks(places, ["as is", *(f"{level:g}" for level in curve)])
        axes.set_xlabel(condition.unit)
        axes.set_title(condition.name, fontsize=11)
        axes.set_ylim(bottom, 1 + 0.02 * (1 - bottom))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = charts[0].get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _split(estimates: list[Estimate]) -> tuple[list[float], list[float], list[float]]:
    return (
        [estimate.low for estimate in estimates],
        [estimate.value for estimate in estimates],
        [estimate.high for estimate in estimates],
    )
