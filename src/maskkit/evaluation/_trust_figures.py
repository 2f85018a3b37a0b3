"""Pictures of calibration, of slices and of data sets side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from maskkit._display.tables import Estimate
from maskkit._labels import BLUE, VERMILION
from maskkit.evaluation._calibration import N_BINS
from maskkit.evaluation._figures import add_legend, layout, new_figure
from maskkit.evaluation._slices import Group, mark
from maskkit.evaluation._trust import Reliability, RiskCoverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY = "#999999"


def draw_reliability(reliability: Reliability, error: Estimate) -> Figure:
    """Draw accuracy against confidence with intervals, and below how many faces are in each bin."""
    figure = Figure(figsize=(5.2, 5.4), dpi=120, layout=layout())
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.spines[["top", "right"]].set_visible(False)
    kept = [index for index, estimate in enumerate(reliability.accuracy) if estimate.n]
    estimates = [reliability.accuracy[index] for index in kept]
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
    _draw_points(axes, reliability.confidence[kept], estimates)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("accuracy")
    axes.set_title(f"Reliability, ECE {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]", fontsize=11)
    edges = np.arange(N_BINS + 1) / N_BINS
    below.bar(edges[:-1], [estimate.n for estimate in reliability.accuracy], 1 / N_BINS, align="edge", color=_GREY)
    below.set_ylabel("faces")
    below.set_xlabel("probability of the class said")
    below.spines[["top", "right"]].set_visible(False)
    # The empty left is left out; of a model that is always sure not so much that its one bin fills the picture.
    axes.set_xlim(min(edges[kept[0]], 0.5) - 0.02, 1.02)
    return figure


def draw_risk(curve: RiskCoverage, area: Estimate) -> Figure:
    """Draw the share of mistakes among the faces answered against their share."""
    figure, axes = new_figure(5.2, 4.2)
    axes.fill_between(curve.coverage, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(curve.coverage, curve.risk, color=BLUE, linewidth=2)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.01, 1.1 * float(curve.high.max())))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("faces answered, the surest first")
    axes.set_ylabel("mistakes among them")
    axes.set_title(f"Risk and coverage, area {area.value:.4f} [{area.low:.4f}, {area.high:.4f}]", fontsize=11)
    return figure


def draw_groups(groups: Sequence[Group], overall: Estimate) -> Figure:
    """Draw the accuracy of each group with its interval; grey where the group is small."""
    figure, axes = new_figure(6.2, 1.3 + 0.3 * len(groups))
    axes.axvline(overall.value, color=_GREY, linewidth=1, linestyle=":")
    for place, group in enumerate(groups):
        estimate = group.accuracy
        colour = _GREY if group.is_small else BLUE
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.5)
        axes.plot([estimate.value], [place], "o", color=colour, markersize=5)
    names = [f"{group.slice}: {mark(group)}, n = {group.n_faces:,}" for group in groups]
    axes.set_yticks(range(len(groups)), names, parse_math=False)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.locator_params(axis="x", nbins=6)
    axes.set_title("Accuracy by slice, 95 % intervals; dotted: all faces", fontsize=11, loc="right")
    return figure


def draw_comparison(estimates: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Draw accuracy and mean recall of each data set with intervals."""
    figure, axes = new_figure(6.2, 1.5 + 0.55 * len(estimates))
    figures = (("accuracy", BLUE, -0.12), ("recall", VERMILION, 0.12))
    for place, of_set in enumerate(estimates.values()):
        for figure_name, colour, shift in figures:
            estimate = of_set[figure_name]
            axes.plot([estimate.low, estimate.high], [place + shift] * 2, color=colour, linewidth=1.5)
            label = {"accuracy": " accuracy", "recall": " recall, mean over classes"}[figure_name]
            axes.plot(
                [estimate.value], [place + shift], "o", color=colour, markersize=5, label=label if place == 0 else None
            )
    names = [f"{name}\nn = {of_set['accuracy'].n:,}" for name, of_set in estimates.items()]
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.locator_params(axis="x", nbins=6)
    axes.set_title("Data sets side by side, 95 % intervals", fontsize=11)
    add_legend(axes, "best")
    return figure


def _draw_points(axes: "Axes", places: np.ndarray, estimates: Sequence[Estimate]) -> None:
    values = np.array([estimate.value for estimate in estimates])
    ends = np.array([[estimate.value - estimate.low, estimate.high - estimate.value] for estimate in estimates])
    # A bootstrapped interval may miss its value by rounding.
    axes.errorbar(places, values, yerr=ends.T.clip(0), fmt="o-", color=BLUE, ecolor="black", capsize=3, linewidth=1.2)
