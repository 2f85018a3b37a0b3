"""Pictures of an evaluation, as matplotlib figures."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from maskkit._display.tables import Estimate, format_cell
from maskkit._labels import BLUE, VERMILION, color_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maskkit.evaluation._faces import Mistake

N_MISTAKES = 12
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[Any]) -> Figure:
    """Draw counts with their share of the row; the darker, the larger the share."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    n_classes = len(classes)
    figure, axes = new_figure(2.4 + 1.3 * n_classes, 1.7 + 1.1 * n_classes)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_wrap(str(label)) for label in classes]
    axes.set_xticks(range(n_classes), names, parse_math=False)
    axes.set_yticks(range(n_classes), names, parse_math=False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(confusion):
        share = shares[row, column]
        # From here on, white has more contrast with the map's blue than black.
        ink = "white" if share > 0.65 else "black"
        axes.text(column, row, f"{count:,}\n{share:.1%}", ha="center", va="center", color=ink, fontsize=11)
    axes.set_xlabel("said")
    axes.set_ylabel("truth")
    axes.set_title("Confusion: counts, shares of the truth", fontsize=11)
    return figure


def draw_roc(roc: Mapping[Any, Curve], auc: Estimate) -> Figure:
    """Draw the ROC curve; of two classes one, since the other is its mirror image."""
    figure, axes = new_figure(5, 4.6)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    classes = list(roc)
    for label in classes[-1:] if len(classes) == 2 else classes:
        axes.step(*roc[label], where="post", color=color_of(label, classes), linewidth=2, label=f" {label}")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_aspect("equal")
    axes.set_title(f"ROC, AUC {auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]", fontsize=11)
    add_legend(axes, "lower right")
    return figure


def draw_mistakes(mistakes: Sequence["Mistake"]) -> Figure:
    """Draw the surest mistakes with file name, truth, label and probability."""
    shown = mistakes[:N_MISTAKES]
    if not shown:
        # A picture all the same: it replaces that of an earlier model in the folder.
        figure, axes = new_figure(4.8, 1.6)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=12)
        return figure
    n_columns = min(4, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = Figure(figsize=(2.4 * max(n_columns, 2), 2.9 * n_rows), dpi=120, layout=layout())
    for index, mistake in enumerate(shown):
        axes = figure.add_subplot(n_rows, n_columns, index + 1)
        axes.imshow(mistake.image())
        axes.set_axis_off()
        truth, label = (_shorten(str(name), 20) for name in (mistake.truth, mistake.label))
        text = f"{_shorten(mistake.place)}\nis {truth}\nsaid {label} {mistake.probability:.2f}"
        axes.set_title(text, fontsize=8, loc="left", parse_math=False)
    return figure


def draw_sizes(by_size: Mapping[str, Estimate]) -> Figure:
    """Draw the share of faces found and rightly judged by size, with intervals and counts."""
    figure, axes = new_figure(5.4, 3.8)
    places = np.arange(len(by_size))
    values = np.array([estimate.value for estimate in by_size.values()])
    ends = np.array([[estimate.value - estimate.low, estimate.high - estimate.value] for estimate in by_size.values()])
    axes.bar(places, np.nan_to_num(values), color=BLUE, width=0.65)
    axes.errorbar(places, values, yerr=ends.T, fmt="none", ecolor="black", capsize=4, linewidth=1.2)
    axes.set_xticks(places, [f"{size}\nn = {estimate.n:,}" for size, estimate in by_size.items()])
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("longer side of the face")
    axes.set_title("Faces found and rightly judged, 95 % intervals", fontsize=11)
    return figure


def draw_precision(curves: Mapping[Any, Curve], average: Mapping[Any, Estimate]) -> Figure:
    """Draw precision against recall for each class."""
    figure, axes = new_figure(5.4, 4.6)
    classes = list(curves)
    for label, (recall, precision) in curves.items():
        if not len(recall):
            continue  # a class that was never said has no curve
        text = f" {label}, AP {format_cell(average[label])}"
        axes.step(
            np.concatenate([[0], recall]),
            np.concatenate([precision[:1], precision]),
            where="pre",
            color=color_of(label, classes) if len(classes) > 1 else VERMILION,
            linewidth=2,
            label=text,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_title("Found and rightly judged, IoU 0.5", fontsize=11)
    add_legend(axes, "lower left")
    return figure


def new_figure(width: float, height: float) -> tuple[Figure, "Axes"]:
    figure = Figure(figsize=(width, height), dpi=120, layout=layout())
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def add_legend(axes: "Axes", place: Literal["lower left", "lower right", "best"]) -> None:
    if axes.get_legend_handles_labels()[0]:
        for text in axes.legend(loc=place, frameon=False).get_texts():
            text.set_parse_math(False)


def layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)


def _wrap(name: str, n_letters: int = 14) -> str:
    """Break a class name into short lines, at underscores and spaces if it can be."""
    return "\n".join(textwrap.wrap(name.replace("_", "_ "), n_letters)).replace("_ ", "_")


def _shorten(name: str, n_letters: int = 28) -> str:
    # A file name that is not UTF-8 holds surrogates, which no font can draw.
    name = name.encode("utf-8", "replace").decode("utf-8")
    return name if len(name) <= n_letters else f"{name[: n_letters - 12]}…{name[-11:]}"
