"""Pictures of a data set: a sheet of labelled tiles, a chart of what there is."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from maskkit._labels import colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Pictures up to this many times longer than wide fill their tile; others keep their ends.
_CROPPED_RATIO = 4 / 3
_PAPER, _FRAME = "white", "#E6E6E6"

# What else matplotlib would write into a file: its name and the date.
_NO_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def choose_evenly(labels: Sequence[str], n_chosen: int, generator: np.random.RandomState) -> list[int]:
    """Choose indices at random, as equally many a class as there are; grouped by class.

    Classes are served in turns, so where there are more of them than places the last go without.
    """
    places = np.asarray(labels)
    shuffled = [generator.permutation(np.flatnonzero(places == label)).tolist() for label in np.unique(places)]
    turns = max(map(len, shuffled), default=0)
    in_turns = [
        (group, indices[turn]) for turn in range(turns) for group, indices in enumerate(shuffled) if turn < len(indices)
    ]
    return [index for _, index in sorted(in_turns[:n_chosen], key=lambda choice: choice[0])]


def compose_tiles(
    pictures: Sequence[Image.Image], labels: Sequence[str], classes: Sequence[str], n_columns: int, tile_px: int
) -> Image.Image:
    """Lay pictures out as square tiles, the name of the class under each in its colour.

    Parameters
    ----------
    pictures : sequence of PIL images
        At least one, RGB.
    labels : sequence of str
        One a picture.
    classes : sequence of str
        Every class there is; decides the colours.
    n_columns, tile_px : int
        Tiles a row and their side.

    Returns
    -------
    sheet : PIL.Image.Image
        RGB, without metadata.
    """
    n_columns = min(n_columns, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    gap, text_px = max(2, tile_px // 12), max(9, tile_px // 9)
    font = _load_font(text_px)
    lines_of = {label: _wrap(label, font, tile_px) for label in set(labels)}
    line_px = round(1.25 * text_px)
    n_lines = max(map(len, lines_of.values()))
    step_x, step_y = tile_px + gap, tile_px + gap + n_lines * line_px
    sheet = Image.new("RGB", (gap + n_columns * step_x, gap + n_rows * step_y), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = gap + place % n_columns * step_x, gap + place // n_columns * step_y
        sheet.paste(_fit_square(picture, tile_px), (x, y))
        for number, text in enumerate(lines_of[label], start=1):
            # Anchored at the base line, so that names with and without tails stand level.
            place_xy = (x + tile_px / 2, y + tile_px + number * line_px)
            draw.text(place_xy, text, fill=colour_of(label, classes), font=font, anchor="ms")
    return sheet


def draw_chart(counts: Mapping[str, Mapping[str, int]], sizes_px: Mapping[str, NDArray[Any]], what: str) -> "Figure":
    """Draw how many there are by split and class, and how large they are.

    Parameters
    ----------
    counts : dict
        Split -> class -> number.
    sizes_px : dict
        Class -> longer sides in pixels.
    what : str
        What is counted: ``"images"`` or ``"faces"``.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    classes = list(sizes_px)
    n_bars = len(counts) * len(classes)
    figure = Figure(figsize=(max(9.0, 6.0 + 0.35 * n_bars), 4.2), dpi=120, layout="constrained")
    bars, sizes = figure.subplots(1, 2)
    _draw_counts(bars, counts, classes, what)
    _draw_sizes(sizes, sizes_px, what)
    # A leading space, since matplotlib 3.9 keeps names with a leading underscore out of a legend.
    handles = [container.patches[0] for container in bars.containers]
    legend = figure.legend(
        handles, [f" {label}" for label in classes], loc="outside upper center", ncols=4, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def save_figure(figure: "Figure", path: str | os.PathLike[str]) -> Path:
    """Write a figure without metadata; the file's ending chooses PNG, SVG or PDF. Gives the path.

    Raises
    ------
    ValueError
        If the ending is another.
    """
    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in _NO_METADATA:
        raise ValueError(
            f"{path}: the ending {path.suffix!r} is unknown; use {', '.join(map('.'.__add__, _NO_METADATA))}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # A class name in letters that the font lacks is drawn as boxes; the chart is still right.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(path, format=form, metadata=_NO_METADATA[form])
    return path


def _draw_counts(axes: "Axes", counts: Mapping[str, Mapping[str, int]], classes: list[str], what: str) -> None:
    width = 0.8 / max(1, len(classes))
    for place, label in enumerate(classes):
        heights = [of_split.get(label, 0) for of_split in counts.values()]
        lefts = np.arange(len(counts)) - 0.4 + width * (place + 0.5)
        bars = axes.bar(lefts, heights, 0.92 * width, color=colour_of(label, classes))
        axes.bar_label(bars, [f"{height:,}" for height in heights], padding=2, fontsize=8)
    axes.set_xticks(range(len(counts)), list(counts), parse_math=False)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.1)
    _mark_counts(axes, what)


def _draw_sizes(axes: "Axes", sizes_px: Mapping[str, NDArray[Any]], what: str) -> None:
    classes = list(sizes_px)
    everything = np.concatenate([np.empty(0), *sizes_px.values()])
    smallest, largest = (everything.min(), everything.max()) if everything.size else (1, 2)
    # Four bins an octave, since sizes differ by factors; marks at powers of two.
    first = np.floor(np.log2(max(1, smallest)))
    edges = (2 ** np.arange(first, max(np.log2(largest), first) + 0.5, 0.25)).tolist()
    for label, sizes in sizes_px.items():
        colour = colour_of(label, classes)
        axes.hist(sizes, edges, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(sizes, edges, histtype="step", color=colour, linewidth=1.5)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel(f"longer side of {what}, px")
    _mark_counts(axes, what)


def _mark_counts(axes: "Axes", what: str) -> None:
    axes.set_ylabel(what)
    axes.locator_params(axis="y", integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)


@cache
def _load_font(size_px: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings DejaVu Sans, which has more of the world's letters than Pillow's own font.
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size_px)


def _fit_square(picture: Image.Image, side_px: int) -> Image.Image:
    size = (side_px, side_px)
    if max(picture.size) <= _CROPPED_RATIO * min(picture.size):
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=_FRAME)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> list[str]:
    """Break a name that is too long between its words, once, and cut what is longer still."""
    lines = [""]
    for piece in re.split(r"(?<=[\s_-])|(?<=[a-z])(?=[A-Z])", " ".join(text.split())):
        if lines[-1] and len(lines) == 1 and font.getlength(lines[-1] + piece.rstrip()) > width_px:
            lines.append("")
        lines[-1] += piece
    return [_shorten(line.strip(), font, width_px) for line in lines]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> str:
    if font.getlength(text) <= width_px:
        return text
    ends = range(len(text) - 1, 0, -1)
    return next((text[:end] + "…" for end in ends if font.getlength(text[:end] + "…") <= width_px), "…")
