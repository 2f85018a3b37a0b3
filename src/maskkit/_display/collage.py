"""Collages: sheets of labeled tiles."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from maskkit._display.fonts import load_font
from maskkit._labels import color_of

# Pictures up to this aspect ratio are cropped to fill their tile; others are padded.
_CROPPED_RATIO = 4 / 3
_PAPER, _FRAME = "white", "#E6E6E6"


def choose_evenly(labels: Sequence[str], n_chosen: int, generator: np.random.RandomState) -> list[int]:
    """Choose random indices, equally many per class if possible, and group them by class.

    One index per class is chosen in turn; if there are more classes than indices, the last classes get none.
    """
    places = np.asarray(labels)
    shuffled = [generator.permutation(np.flatnonzero(places == label)).tolist() for label in np.unique(places)]
    turns = max(map(len, shuffled), default=0)
    in_turns = [
        (group, indices[turn]) for turn in range(turns) for group, indices in enumerate(shuffled) if turn < len(indices)
    ]
    return [index for _, index in sorted(in_turns[:n_chosen], key=lambda choice: choice[0])]


def compose_tiles(
    pictures: Sequence[Image.Image],
    labels: Sequence[Any],
    classes: Sequence[Any],
    n_columns: int,
    tile_size: tuple[int, int],
    *,
    captions: Sequence[str] | None = None,
) -> Image.Image:
    """Arrange pictures as tiles of equal size, each above the name of its class in the color of the class.

    Parameters
    ----------
    pictures : sequence of PIL images
        At least one, RGB.
    labels : sequence of str or int
        One label per picture.
    classes : sequence of str or int
        All classes; they determine the colors.
    n_columns : int
        Maximum number of tiles per row.
    tile_size : tuple of (int, int)
        Width and height of a tile, in pixels.
    captions : sequence of str, optional
        Text under the pictures, instead of the labels.

    Returns
    -------
    sheet : PIL.Image.Image
        RGB, without metadata.
    """
    n_columns = min(n_columns, len(pictures))
    n_rows = math.ceil(len(pictures) / n_columns)
    width, height = tile_size
    gap, text_px = max(2, height // 12), max(9, height // 9)
    font = load_font(text_px)
    lines = [_wrap(text, font, width) for text in (map(str, labels) if captions is None else captions)]
    line_px = round(1.25 * text_px)
    step_x, step_y = width + gap, height + gap + max(map(len, lines)) * line_px
    sheet = Image.new("RGB", (gap + n_columns * step_x, gap + n_rows * step_y), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = gap + place % n_columns * step_x, gap + place // n_columns * step_y
        sheet.paste(_fit_tile(picture, tile_size), (x, y))
        for number, text in enumerate(lines[place], start=1):
            # Anchored at the base line, so that names with and without tails stand level.
            place_xy = (x + width / 2, y + height + number * line_px)
            draw.text(place_xy, text, fill=color_of(label, classes), font=font, anchor="ms")
    return sheet


def _fit_tile(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    stretch = picture.width * size[1] / (picture.height * size[0])
    if 1 / _CROPPED_RATIO <= stretch <= _CROPPED_RATIO:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=_FRAME)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> list[str]:
    """Break a name that is too long once between its words, and shorten lines that are still too long."""
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
