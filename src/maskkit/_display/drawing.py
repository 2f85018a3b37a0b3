"""Drawing of boxes, labels, blur and heat maps over photos."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from maskkit._display.tables import format_percent
from maskkit._display.tags import (
    MIN_LETTERS_PX,
    Layout,
    Tag,
    choose_letters_px,
    choose_line_px,
    draw_tag,
    measure_text,
)
from maskkit._images.crop import Box
from maskkit._labels import color_of

# A legend takes at most these shares of the width and of the height of a picture.
_LEGEND_WIDTH, _LEGEND_HEIGHT = 0.5, 0.25


def draw_faces(
    picture: Image.Image,
    boxes: Sequence[Box],
    labels: Sequence[tuple[Any, float]],
    classes: Sequence[Any],
    *,
    numbers: Sequence[int] | None = None,
) -> Image.Image:
    """Draw boxes with their numbers, labels and probabilities over a copy of a picture.

    Lines and letters grow with the shorter side of the picture, and are finer at small boxes. A label that would cover
    another face or label is shortened to its probability, or to the number of the face, by default counted from 1 in
    the order of the boxes; then a legend explains the colors, if there is a free place for it. A picture of one face
    needs no number.
    """
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    colors = [color_of(label, classes) for label, _ in labels]
    for box, color in zip(boxes, colors, strict=True):
        draw.rectangle((*box[:2], box[2] - 1, box[3] - 1), outline=color, width=choose_line_px(picture.size, box))
    layout = Layout(picture.size, boxes)
    names = [str(number) for number in numbers or range(1, len(boxes) + 1)]
    # Every face gets its number before some get more. Faces are sorted by size, so the largest get their label first.
    for index, name in enumerate(names):
        layout.place(index, name, colors[index], forced=True)
    is_shortened = False
    for index, (label, probability) in enumerate(labels):
        prefix = "" if len(boxes) == 1 and numbers is None else f"{names[index]}: "
        percent = format_percent(probability)
        texts = (f"{prefix}{label} {percent}", f"{prefix}{percent}")
        placed = next((text for text in texts if layout.place(index, text, colors[index])), None)
        is_shortened |= placed != texts[0]
    if is_shortened:
        _place_legend(layout, Counter(label for label, _ in labels), classes)
    for tag in layout.tags.values():
        draw_tag(draw, tag)
    return picture


def _place_legend(layout: Layout, counts: Counter[Any], classes: Sequence[Any]) -> None:
    """Place one tag per class where it hides nothing; without such a place, or with one too small, there is none."""
    lines = [(f"{count} {label}", color_of(label, classes)) for label, count in counts.most_common()]
    for letters_px in sorted({choose_letters_px(layout.size), MIN_LETTERS_PX}, reverse=True):
        sizes = [measure_text(text, letters_px) for text, _ in lines]
        width, height = max(size[0] for size in sizes), sizes[0][1]
        if width > _LEGEND_WIDTH * layout.size[0] or len(lines) * height > _LEGEND_HEIGHT * layout.size[1]:
            continue
        rows = layout.find_free((width, len(lines) * height))
        if rows is None:
            continue
        for number, ((text, color), size) in enumerate(zip(lines, sizes, strict=True)):
            top = rows[1] + number * height
            # The keys of the faces are their indices.
            layout.tags[-1 - number] = Tag((rows[0], top, rows[0] + size[0], top + height), text, color, letters_px)
        return


def blur_faces(picture: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Make the faces in a copy of a picture unrecognizable, with boxes enlarged by a tenth on each side."""
    picture = picture.copy()
    for left, top, right, bottom in boxes:
        margin = round(0.1 * max(right - left, bottom - top))
        area = (
            max(0, left - margin),
            max(0, top - margin),
            min(picture.width, right + margin),
            min(picture.height, bottom + margin),
        )
        # 5 x 5 blocks reveal neither identity nor expression. The Gaussian blur only softens the edges of the blocks.
        size = (area[2] - area[0], area[3] - area[1])
        blocks = picture.crop(area).resize((5, 5), Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
        picture.paste(blocks.filter(ImageFilter.GaussianBlur(max(size) / 16)), area)
    return picture


def draw_heat(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Blend a heat map of shape (H, W), range 0 to 1, over a gray copy of a picture of that size."""
    from matplotlib import colormaps

    # Inferno is perceptually uniform and readable by color-blind people (van der Walt and Smith 2015); on gray, its
    # colors cannot be confused with skin. Opacity grows with the heat, so that the rest of the face stays visible.
    colors = Image.fromarray(colormaps["inferno"](heat, bytes=True)[..., :3])
    density = Image.fromarray((0.65 * 255 * heat).astype(np.uint8))
    return Image.composite(colors, picture.convert("L").convert("RGB"), density)


def resize_heat(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a heat map (h, w), range 0 to 1, to a width and height."""
    # Bilinear interpolation of few cells shows star-shaped artifacts; bicubic overshoots, hence the clipping.
    return np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
