"""Charts of data sets, and saving of figures without metadata."""

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._files.outputs import check_new, create_file
from maskkit._labels import color_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Metadata that matplotlib would write into a file otherwise: its name and the date.
_NO_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def draw_chart(counts: Mapping[str, Mapping[str, int]], sizes_px: Mapping[str, NDArray[Any]], what: str) -> "Figure":
    """Draw counts, split -> class -> number of `what`, and the distribution of longer sides by class, in pixels."""
    from maskkit._display.figures import TextSafeFigure

    classes = list(sizes_px)
    n_bars = len(counts) * len(classes)
    figure = TextSafeFigure(figsize=(max(9.0, 6.0 + 0.35 * n_bars), 4.2), dpi=120, layout="constrained")
    bars, sizes = figure.subplots(1, 2)
    _draw_counts(bars, counts, classes, what)
    _draw_sizes(sizes, sizes_px, what)
    # The leading space is needed because matplotlib hides legend entries with a leading underscore.
    handles = [container.patches[0] for container in bars.containers]
    add_legend(figure, handles, [f" {label}" for label in classes], loc="outside upper center", ncols=4)
    return figure


def add_legend(chart: "Axes | Figure", *entries: Any, **options: Any) -> None:
    """Add a legend without a frame; its texts are not interpreted as math."""
    for text in chart.legend(*entries, frameon=False, **options).get_texts():
        text.set_parse_math(False)


def save_figure(figure: "Figure", path: str | os.PathLike[str]) -> Path:
    """Save a figure as PNG, SVG or PDF, according to the file extension, without metadata; return the path.

    Raises ValueError if the extension is unknown, and OutputError if the path is empty or exists.
    """
    path = check_new(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in _NO_METADATA:
        raise ValueError(
            f"{path}: the extension {path.suffix!r} is unknown; use {', '.join(map('.'.__add__, _NO_METADATA))}."
        )
    return create_file(path, encode_figure(figure, form))


def encode_figure(figure: "Figure", form: str = "png") -> bytes:
    """Return a figure as a file of a format without metadata."""
    from matplotlib import rc_context

    file = io.BytesIO()
    # The identifiers in an SVG are random without a salt.
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "maskkit"}):
        # Characters that the font lacks are drawn as boxes; the chart is correct nevertheless.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(file, format=form, metadata=_NO_METADATA[form])
    return file.getvalue()


def _draw_counts(axes: "Axes", counts: Mapping[str, Mapping[str, int]], classes: list[str], what: str) -> None:
    width = 0.8 / max(1, len(classes))
    for place, label in enumerate(classes):
        heights = [of_split.get(label, 0) for of_split in counts.values()]
        lefts = np.arange(len(counts)) - 0.4 + width * (place + 0.5)
        bars = axes.bar(lefts, heights, 0.92 * width, color=color_of(label, classes))
        axes.bar_label(bars, [f"{height:,}" for height in heights], padding=2, fontsize=8)
    axes.set_xticks(range(len(counts)), list(counts), parse_math=False)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.1)
    _mark_counts(axes, what)


def _draw_sizes(axes: "Axes", sizes_px: Mapping[str, NDArray[Any]], what: str) -> None:
    classes = list(sizes_px)
    everything = np.concatenate([np.empty(0), *sizes_px.values()])
    smallest, largest = (everything.min(), everything.max()) if everything.size else (1, 2)
    # Four bins per octave, because sizes differ by factors; ticks at powers of two.
    first = np.floor(np.log2(max(1, smallest)))
    edges = (2 ** np.arange(first, max(np.log2(largest), first) + 0.5, 0.25)).tolist()
    for label, sizes in sizes_px.items():
        color = color_of(label, classes)
        axes.hist(sizes, edges, histtype="stepfilled", color=color, alpha=0.25)
        axes.hist(sizes, edges, histtype="step", color=color, linewidth=1.5)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel(f"longer side of {what}, px")
    _mark_counts(axes, what)


def _mark_counts(axes: "Axes", what: str) -> None:
    axes.set_ylabel(what)
    axes.locator_params(axis="y", integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
