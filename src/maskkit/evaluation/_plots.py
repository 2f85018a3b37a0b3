"""Plots of evaluations, as matplotlib figures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.charts import add_legend
from maskkit._display.drawing import blur_faces
from maskkit._display.figures import TextSafeFigure
from maskkit._display.tables import Estimate, fold_text, format_cell
from maskkit._labels import BLUE, VERMILION, color_of
from maskkit.evaluation._calibration import N_BINS, Reliability, RiskCoverage
from maskkit.evaluation._photo_counts import Curve
from maskkit.evaluation._robustness import CORRUPTIONS
from maskkit.evaluation._slices import Group, mark
from maskkit.exceptions import ImageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maskkit.evaluation._evaluation import Mistake
    from maskkit.evaluation._robustness import Robustness

N_MISTAKES = 12
_GRAY = "#999999"


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[Any]) -> Figure:
    """Draw counts and their share of the row; darker cells have a larger share."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    n_classes = len(classes)
    title = "Confusion: counts and shares of the true class"
    figure, axes = _new_chart(2.4 + 1.3 * n_classes, 1.7 + 1.1 * n_classes, title, xlabel="predicted", ylabel="true")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [fold_text(str(label), 14) for label in classes]
    axes.set_xticks(range(n_classes), names, parse_math=False)
    axes.set_yticks(range(n_classes), names, parse_math=False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(confusion):
        share = shares[row, column]
        # Above this share, white text has more contrast than black on the blue of the color map.
        ink = "white" if share > 0.65 else "black"
        axes.text(column, row, f"{count:,}\n{share:.1%}", ha="center", va="center", color=ink, fontsize=11)
    return figure


def draw_roc(roc: Mapping[Any, Curve], auc: Estimate) -> Figure:
    """Draw the ROC curves; for two classes only one, because the other is its mirror image."""
    figure, axes = _new_chart(5, 4.6, f"ROC, AUC {auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]")
    axes.plot([0, 1], [0, 1], color=_GRAY, linewidth=1, linestyle=":")
    classes = list(roc)
    for label in classes[-1:] if len(classes) == 2 else classes:
        axes.step(*roc[label], where="post", color=color_of(label, classes), linewidth=2, label=f" {label}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    add_legend(axes, loc="lower right")
    return figure


def draw_mistakes(mistakes: Sequence["Mistake"], *, blur: bool) -> Figure:
    """Draw the most confident mistakes with file name, true and predicted class, and confidence."""
    shown = mistakes[:N_MISTAKES]
    if not shown:
        # The picture is drawn anyway, so that every evaluation has the same plots.
        figure, axes = _new_chart(4.8, 1.6)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=12)
        return figure
    n_columns = min(4, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    figure = _new_figure(2.4 * max(n_columns, 2), 2.9 * n_rows)
    for index, mistake in enumerate(shown):
        axes = figure.add_subplot(n_rows, n_columns, index + 1)
        axes.set_axis_off()
        try:
            face = Image.fromarray(mistake.image())
            # The crop is all face, so that all of it is blurred.
            axes.imshow(blur_faces(face, [(0, 0, *face.size)]) if blur else face)
        except ImageError:  # The file was moved or changed after the evaluation.
            axes.set_box_aspect(1)
            axes.text(0.5, 0.5, "cannot be read", ha="center", va="center", fontsize=8, transform=axes.transAxes)
        truth, label = (_shorten(str(name), 20) for name in (mistake.true_label, mistake.predicted_label))
        text = f"{_shorten(mistake.short_place)}\ntrue {truth}\npredicted {label} {mistake.probability:.2f}"
        axes.set_title(text, fontsize=8, loc="left", parse_math=False)
    return figure


def draw_sizes(by_size: Mapping[str, Estimate]) -> Figure:
    """Draw end-to-end recall by face size, with intervals and counts."""
    figure, axes = _new_chart(5.4, 3.8, "End-to-end recall, 95 % intervals", xlabel="longer side of the face")
    places = np.arange(len(by_size))
    low, value, high = _split(by_size.values())
    axes.bar(places, np.nan_to_num(value), color=BLUE, width=0.65)
    axes.errorbar(places, value, yerr=[value - low, high - value], fmt="none", ecolor="black", capsize=4, linewidth=1.2)
    axes.set_xticks(places, [f"{size}\nn = {estimate.n:,}" for size, estimate in by_size.items()])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def draw_precision(curves: Mapping[Any, Curve], average: Mapping[Any, Estimate]) -> Figure:
    """Draw precision against recall for each class."""
    title = "Precision and recall at IoU 0.5"
    figure, axes = _new_chart(5.4, 4.6, title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    classes = list(curves)
    # A class that is never predicted has no curve.
    for label, (recall, precision) in [(label, curve) for label, curve in curves.items() if len(curve[0])]:
        color = color_of(label, classes) if len(classes) > 1 else VERMILION
        text = f" {label}, AP {format_cell(average[label])}"
        points = np.append(0, recall), np.append(precision[:1], precision)
        axes.step(*points, where="pre", color=color, linewidth=2, label=text)
    if axes.lines:
        add_legend(axes, loc="lower left")
    return figure


def draw_reliability(reliability: Reliability, error: Estimate) -> Figure:
    """Draw accuracy against confidence with intervals, above a histogram of faces per bin."""
    figure = _new_figure(5.2, 5.4)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    for part in (axes, below):
        part.spines[["top", "right"]].set_visible(False)
    n_faces = np.array([estimate.n for estimate in reliability.accuracy])
    kept = np.flatnonzero(n_faces)
    axes.plot([0, 1], [0, 1], color=_GRAY, linewidth=1, linestyle=":")
    low, value, high = _split(reliability.accuracy)[:, kept]
    # Rounding may place a value slightly outside its bootstrap interval.
    ends = np.clip([value - low, high - value], 0, None)
    points = reliability.confidence[kept], value
    axes.errorbar(*points, yerr=ends, fmt="o-", color=BLUE, ecolor="black", capsize=3, linewidth=1.2)
    axes.set(ylim=(-0.02, 1.02), ylabel="accuracy")
    axes.set_title(f"Reliability, ECE {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]", fontsize=11)
    edges = np.arange(N_BINS + 1) / N_BINS
    below.bar(edges[:-1], n_faces, 1 / N_BINS, align="edge", color=_GRAY)
    below.set(xlabel="confidence", ylabel="faces")
    # Empty bins on the left are cut off, but never so many that the single bin of a confident model fills the plot.
    axes.set_xlim(min(edges[kept[0]], 0.5) - 0.02, 1.02)
    return figure


def draw_risk_coverage(curve: RiskCoverage, area: Estimate) -> Figure:
    """Draw the error rate among classified faces against their fraction."""
    title = f"Risk and coverage, area {area.value:.4f} [{area.low:.4f}, {area.high:.4f}]"
    figure, axes = _new_chart(5.2, 4.2, title, xlabel="coverage: most confident faces first", ylabel="risk: error rate")
    axes.fill_between(curve.coverage, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(curve.coverage, curve.risk, color=BLUE, linewidth=2)
    axes.set(xlim=(0, 1), ylim=(0, max(0.01, 1.1 * float(curve.high.max()))))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def draw_groups(groups: Sequence[Group], overall: Estimate) -> Figure:
    """Draw the accuracy of each group with its interval; small groups are gray."""
    figure, axes = _new_chart(6.2, 1.3 + 0.3 * len(groups))
    axes.set_title("Accuracy by slice, 95 % intervals; dotted: all faces", fontsize=11, loc="right")
    axes.axvline(overall.value, color=_GRAY, linewidth=1, linestyle=":")
    for place, group in enumerate(groups):
        _draw_interval(axes, place, group.accuracy, _GRAY if group.is_small else BLUE)
    _name_rows(axes, [f"{group.slice}: {mark(group)}, n = {group.n_faces:,}" for group in groups])
    return figure


def draw_comparison(estimates: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Draw accuracy and mean recall of each data set with intervals."""
    figure, axes = _new_chart(6.2, 1.5 + 0.55 * len(estimates), "Data sets side by side, 95 % intervals")
    for place, of_set in enumerate(estimates.values()):
        # One entry of each metric in the legend is enough.
        labels = (" accuracy", " recall, mean over classes") if place == 0 else (None, None)
        _draw_interval(axes, place - 0.12, of_set["accuracy"], BLUE, labels[0])
        _draw_interval(axes, place + 0.12, of_set["recall"], VERMILION, labels[1])
    _name_rows(axes, [f"{name}\nn = {of_set['accuracy'].n:,}" for name, of_set in estimates.items()])
    add_legend(axes, loc="best")
    return figure


def draw_robustness(robustness: "Robustness") -> Figure:
    """Draw accuracy with its interval, and the recall of each class, one small chart per corruption."""
    figure = _new_figure(9.4, 6.6)
    charts = figure.subplots(2, 2, sharey=True).ravel()
    lowest = min(estimate.low for estimate in robustness.metrics().values() if estimate.n)
    # The axis begins at the next lower ten percent, because most of the range may be empty.
    bottom = np.floor(10 * lowest) / 10
    for axes, corruption in zip(charts, CORRUPTIONS, strict=True):
        curve = robustness.curves[corruption.name]
        steps = [robustness.unchanged, *curve.values()]
        places = np.arange(len(steps))
        for label in robustness.classes:
            recall = [estimates[f"recall/{label}"].value for estimates in steps]
            color = color_of(label, robustness.classes)
            axes.plot(places, recall, color=color, linewidth=1.3, marker="o", markersize=3, label=f" recall of {label}")
        low, value, high = _split(estimates["accuracy"] for estimates in steps)
        axes.fill_between(places, low, high, color="black", alpha=0.15, linewidth=0)
        axes.plot(places, value, color="black", linewidth=2, label=" accuracy, 95 % interval")
        axes.set_xticks(places, ["as is", *(f"{level:g}" for level in curve)])
        axes.set_title(corruption.name, fontsize=11)
        axes.set(xlabel=corruption.unit, ylim=(bottom, 1 + 0.02 * (1 - bottom)))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    add_legend(figure, *charts[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _new_figure(width: float, height: float) -> Figure:
    return TextSafeFigure(figsize=(width, height), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


def _new_chart(width: float, height: float, title: str = "", **properties: Any) -> tuple[Figure, "Axes"]:
    """Return a figure with one chart; `properties` are those of its axes."""
    figure = _new_figure(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=11)
    axes.set(**properties)
    return figure, axes


def _draw_interval(axes: "Axes", place: float, estimate: Estimate, color: str, label: str | None = None) -> None:
    axes.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=1.5)
    axes.plot([estimate.value], [place], "o", color=color, markersize=5, label=label)


def _name_rows(axes: "Axes", names: list[str]) -> None:
    """Label the rows of a chart of intervals, from top to bottom, with percentages along the other axis."""
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.locator_params(axis="x", nbins=6)


def _split(estimates: Iterable[Estimate]) -> NDArray[np.float64]:
    """Return lower ends, values and upper ends, (3, n)."""
    return np.array([[estimate.low, estimate.value, estimate.high] for estimate in estimates]).T


def _shorten(name: str, n_letters: int = 28) -> str:
    return name if len(name) <= n_letters else f"{name[: n_letters - 12]}…{name[-11:]}"
