"""Drawing of boxes, labels, blur and heat maps over photos."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from maskkit._display.tables import format_percent
from maskkit._images.crop import Box
from maskkit._labels import color_of

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_faces(
    picture: Image.Image, boxes: Sequence[Box], labels: Sequence[tuple[Any, float]], classes: Sequence[Any]
) -> Image.Image:
    """Draw boxes with their labels and probabilities over a copy of a picture.

    Line width and font size grow with the picture. A label that would cover another face or label is shortened to the
    percentage, or left out; then a legend explains the colors.
    """
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    longer_px = max(picture.size)
    line_px = max(1, round(longer_px / 350))
    font = ImageFont.load_default(max(10, longer_px / 50))
    for box, (label, _) in zip(boxes, labels, strict=True):
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=color_of(label, classes), width=line_px)
    taken: list[Box] = []
    n_shortened = 0
    # Faces are sorted by size, so the largest get their label first.
    for index, (label, probability) in enumerate(labels):
        number = format_percent(probability)
        others = [*boxes[:index], *boxes[index + 1 :], *taken]
        for text in (f"{label} {number}", number):
            tag = _place_tag(draw, boxes[index], text, font, picture.size)
            if not any(_overlap(tag, other) for other in others):
                _draw_tag(draw, tag, text, color_of(label, classes), font)
                taken.append(tag)
                break
        n_shortened += text == number or tag not in taken
    if n_shortened:
        # The legend has one tag per class, in the lower left corner.
        bottom = picture.height
        for label, count in reversed(Counter(label for label, _ in labels).items()):
            width, height = _measure(draw, f"{count} {label}", font)
            bottom -= height
            tag = (0, bottom, width, bottom + height)
            _draw_tag(draw, tag, f"{count} {label}", color_of(label, classes), font)
    return picture


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


def _place_tag(draw: ImageDraw.ImageDraw, box: Box, text: str, font: Font, size: tuple[int, int]) -> Box:
    """Return the position of a label: above a box, or inside its upper edge if there is no room, within the picture."""
    width, height = _measure(draw, text, font)
    left = min(max(0, box[0]), max(0, size[0] - width))
    top = box[1] - height if box[1] >= height else box[1]
    return left, top, left + width, top + height


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _draw_tag(draw: ImageDraw.ImageDraw, tag: Box, text: str, color: str, font: Font) -> None:
    left, top, *_ = draw.textbbox((0, 0), text, font=font)
    draw.rectangle(tag, fill=color)
    draw.text((tag[0] + 3 - left, tag[1] + 3 - top), text, fill="white", font=font)


def _measure(draw: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return round(right - left) + 6, round(bottom - top) + 6
