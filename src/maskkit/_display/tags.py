"""Placement of labels over a picture: each beside its box, over no other box or label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

from maskkit._display.fonts import load_font
from maskkit._images.crop import Box

# Smaller letters cannot be read.
MIN_LETTERS_PX = 9

# A tag inside its own box hides at most this share of the height of the face.
_MAX_SHARE_INSIDE = 0.3

# Places for a legend that are tried along each side of a picture.
_LEGEND_STEPS = 9


class Tag(NamedTuple):
    """A text at a place of a picture."""

    box: Box
    text: str
    color: str
    letters_px: int


def choose_letters_px(size: tuple[int, int], box: Box | None = None) -> int:
    """Return the size of letters for a picture, by its shorter side; for a box, letters do not dwarf the face."""
    letters_px = min(size) / 38
    if box is not None:
        letters_px = min(letters_px, 0.3 * max(box[2] - box[0], box[3] - box[1]))
    return max(MIN_LETTERS_PX, round(letters_px))


def choose_line_px(size: tuple[int, int], box: Box) -> int:
    """Return the width of the outline of a box, by the shorter sides of the picture and of the box."""
    return max(1, round(min(min(size) / 280, min(box[2] - box[0], box[3] - box[1]) / 16)))


def measure_text(text: str, letters_px: int) -> tuple[int, int]:
    """Return width and height of a tag, in pixels."""
    font = load_font(letters_px)
    left, _, right, _ = font.getbbox(text)
    # All tags of a size are equally high, whatever their letters.
    return round(right - left) + _margin(letters_px) * 2, round(1.15 * letters_px) + _margin(letters_px)


def draw_tag(draw: ImageDraw.ImageDraw, tag: Tag) -> None:
    """Draw a tag."""
    left, top, right, bottom = tag.box
    draw.rectangle((left, top, right - 1, bottom - 1), fill=tag.color)
    font: ImageFont.FreeTypeFont = load_font(tag.letters_px)
    draw.text(((left + right) / 2, (top + bottom) / 2), tag.text, fill="white", font=font, anchor="mm")


def _margin(letters_px: int) -> int:
    return max(1, letters_px // 5)


@dataclass
class Layout:
    """Places tags over a picture of some size with the boxes of faces."""

    size: tuple[int, int]
    boxes: Sequence[Box]
    tags: dict[int, Tag] = field(default_factory=dict)

    def place(self, index: int, text: str, color: str, *, forced: bool = False) -> bool:
        """Place the tag of a box, instead of its present one; return whether there is room.

        A tag that is forced goes where it hides least.
        """
        letters_px = choose_letters_px(self.size, self.boxes[index])
        places = list(self._near(self.boxes[index], measure_text(text, letters_px), forced=forced))
        others = [*self.boxes[:index], *self.boxes[index + 1 :]]
        others += [tag.box for other, tag in self.tags.items() if other != index]
        hidden = [_hidden_px(place, np.array(others).reshape(-1, 4)) for place in places]
        best = min(range(len(places)), key=hidden.__getitem__, default=None)
        if best is None or (hidden[best] and not forced):
            return False
        self.tags[index] = Tag(places[best], text, color, letters_px)
        return True

    def find_free(self, size: tuple[int, int]) -> Box | None:
        """Return a place of a size that hides no box and no tag, from the corners inward; None if there is none."""
        others = np.array([*self.boxes, *(tag.box for tag in self.tags.values())]).reshape(-1, 4)
        room = (self.size[0] - size[0], self.size[1] - size[1])
        # The lower left corner comes first; then the other places along the edges, in steps.
        lefts, tops = ([round(edge * share) for share in np.linspace(0, 1, _LEGEND_STEPS)] for edge in room)
        places = [(x, y, x + size[0], y + size[1]) for y in reversed(tops) for x in lefts]
        places.sort(key=lambda place: min(place[0], room[0] - place[0]) / self.size[0]
                    + min(place[1], room[1] - place[1]) / self.size[1])  # fmt: skip
        return next((place for place in places if _hidden_px(place, others) == 0), None)

    def _near(self, box: Box, size: tuple[int, int], *, forced: bool) -> Iterator[Box]:
        """Iterate over the places for a tag of a size within the picture: beside a box, or inside a large one."""
        width, height = size
        if width > self.size[0] or height > self.size[1]:
            return
        left, top, right, bottom = box
        # A tag above or below begins at the left edge of the box, or ends at the right edge of the picture.
        x = min(max(0, left), self.size[0] - width)
        y = min(max(0, top), self.size[1] - height)
        for x0, y0 in ((x, top - height), (x, bottom), (right, y), (left - width, y)):
            if 0 <= x0 <= self.size[0] - width and 0 <= y0 <= self.size[1] - height:
                yield x0, y0, x0 + width, y0 + height
        is_large = width <= right - left and height <= _MAX_SHARE_INSIDE * (bottom - top)
        if is_large or forced:
            yield x, y, x + width, y + height


def _hidden_px(place: Box, others: NDArray[np.int64]) -> int:
    """Return how many pixels of other boxes a place hides."""
    width = np.minimum(place[2], others[:, 2]) - np.maximum(place[0], others[:, 0])
    height = np.minimum(place[3], others[:, 3]) - np.maximum(place[1], others[:, 1])
    return int((width.clip(0) * height.clip(0)).sum())
