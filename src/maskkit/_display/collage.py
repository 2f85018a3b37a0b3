"""Collages: sheets of labeled tiles."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from maskkit._display.fonts import load_font
from maskkit._labels import color_of

# Pictures up to this aspect ratio are cropped to fill their tile; others are padded.
_CROPPED_RATIO = 4 / 3
# Smaller letters cannot be read. A line is higher than its letters.
_MIN_TEXT_PX, _LINE = 9, 1.25
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
    sheet_size: tuple[int, int] | None = None,
) -> Image.Image:
    """Arrange pictures, at least one, as tiles of equal size, each above the name of its class in the class's color.

    `classes` are all classes, which determine the colors, and `n_columns` is the maximum number of tiles per row.
    `captions` are the texts under the pictures, instead of the labels; an empty sequence: none. With `sheet_size`, the
    width and height of the sheet, the tiles get the size that fits, instead of `tile_size`.
    """
    texts = list(map(str, labels if captions is None else captions))
    n_columns = min(n_columns, len(pictures))
    grid = Grid.of_tiles(n_columns, math.ceil(len(pictures) / n_columns), tile_size, texts)
    if sheet_size is not None:
        grid = Grid.of_sheet(n_columns, grid.n_rows, sheet_size, texts)
    sheet = Image.new("RGB", grid.sheet_size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = load_font(grid.text_px)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = grid.corner(place)
        sheet.paste(_fit_tile(picture, grid.tile_size), (x, y))
        for number, text in enumerate(grid.lines[texts[place]] if texts else (), start=1):
            # Anchored at the base line, so that names with and without tails stand level.
            place_xy = (x + grid.tile_size[0] / 2, y + grid.tile_size[1] + number * grid.line_px)
            draw.text(place_xy, text, fill=color_of(label, classes), font=font, anchor="ms")
    return sheet


@dataclass(frozen=True)
class Grid:
    """Places of tiles and of the lines of text under them, in pixels. `lines` maps each text to its lines."""

    n_columns: int
    n_rows: int
    sheet_size: tuple[int, int]
    tile_size: tuple[int, int]
    gap: int
    text_px: int
    lines: Mapping[str, Sequence[str]]

    @classmethod
    def of_tiles(cls, n_columns: int, n_rows: int, tile_size: tuple[int, int], texts: Sequence[str]) -> Self:
        """Return the grid of tiles of a given size; the sheet is as large as they need."""
        width, height = tile_size
        gap, text_px = max(2, height // 12), max(_MIN_TEXT_PX, height // 9)
        lines = wrap_texts(texts, load_font(text_px), width)
        step_y = height + gap + _count_lines(lines) * round(_LINE * text_px)
        sheet_size = (gap + n_columns * (width + gap), gap + n_rows * step_y)
        return cls(n_columns, n_rows, sheet_size, tile_size, gap, text_px, lines)

    @classmethod
    def of_sheet(cls, n_columns: int, n_rows: int, sheet_size: tuple[int, int], texts: Sequence[str]) -> Self:
        """Return the grid of a sheet of a given size; the tiles are the largest squares that fit."""
        cell = min(sheet_size[0] // n_columns, sheet_size[1] // n_rows)
        for side in range(cell, 0, -1):
            gap, text_px = side // 12, max(_MIN_TEXT_PX, side // 9)
            lines = wrap_texts(texts, load_font(text_px), side)
            grid = cls(n_columns, n_rows, sheet_size, (side, side), gap, text_px, lines)
            if side + gap <= sheet_size[0] // n_columns and grid.needed_px <= sheet_size[1] // n_rows:
                return grid
        raise ValueError(
            f"size={sheet_size} is too small for {n_columns} x {n_rows} faces{' and their captions' if texts else ''}; "
            f"want a larger sheet, fewer rows and columns, or captions=False."
        )

    @property
    def line_px(self) -> int:
        """Height of a line of text."""
        return round(_LINE * self.text_px)

    @property
    def needed_px(self) -> int:
        """Height of a row: tile, text and gap."""
        return self.tile_size[1] + self.gap + _count_lines(self.lines) * self.line_px

    def corner(self, place: int) -> tuple[int, int]:
        """Return the top left corner of a tile; what the sheet has more than the tiles need is spread between them."""
        row, column = divmod(place, self.n_columns)
        spare_x = self.sheet_size[0] - self.gap - self.n_columns * (self.tile_size[0] + self.gap)
        spare_y = self.sheet_size[1] - self.gap - self.n_rows * self.needed_px
        x = self.gap + column * (self.tile_size[0] + self.gap) + spare_x * (2 * column + 1) // (2 * self.n_columns)
        y = self.gap + row * self.needed_px + spare_y * (2 * row + 1) // (2 * self.n_rows)
        return x, y


def _count_lines(lines: Mapping[str, Sequence[str]]) -> int:
    return max(map(len, lines.values()), default=0)


def _fit_tile(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    stretch = picture.width * size[1] / (picture.height * size[0])
    if 1 / _CROPPED_RATIO <= stretch <= _CROPPED_RATIO:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=_FRAME)


def wrap_texts(texts: Sequence[str], font: ImageFont.FreeTypeFont, width_px: int) -> dict[str, list[str]]:
    """Return the lines of each text, shortened to a width so that different texts stay different.

    Texts that would look alike without their ends are shortened at their common beginning: ``WithMask`` and
    ``WithoutMask`` become ``...Mask`` and ``...out...`` rather than ``With...`` both.
    """
    usual = {text: _wrap(text, font, width_px) for text in texts}
    lines = dict(usual)
    shortened = {text: shown for text, own in usual.items() if "…" in (shown := "".join(own))}
    for text, shown in shortened.items():
        alike = [
            other
            for other in usual
            if other != text
            if _begins(other, shown) or (other in shortened and _begins(text, shortened[other]))
        ]
        n_common = max((_count_common(text, other) for other in alike), default=0)
        if 0 < n_common < len(text):
            lines[text] = [_shorten("…" + text[n_common:].lstrip(" _-"), font, width_px)]
    return lines


def _begins(text: str, shown: str) -> bool:
    """Return whether the letters of a text begin with those that are shown of another one."""
    text, shown = (re.sub(r"[\W_]", "", each) for each in (text, shown))
    return text.startswith(shown)


def _count_common(text: str, other: str) -> int:
    """Return the number of letters with which both texts begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))


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
