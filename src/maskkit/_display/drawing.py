"""Boxes, words, blur and heat over a photo."""

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

    Lines and letters grow with the picture. Words that would cover another face or other words are
    left out, or cut down to the percentage; then a legend says which colour is which class.
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
    # The largest faces come first and choose first.
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
        counts = Counter(label for label, _ in labels)
        _add_legend(
            draw, [(f"{counts[label]} {label}", color_of(label, classes)) for label in counts], font, picture.size
        )
    return picture


def blur_faces(picture: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Blur the boxes of a copy of a picture, a tenth larger than they are, beyond recognition."""
    picture = picture.copy()
    for left, top, right, bottom in boxes:
        margin = round(0.1 * max(right - left, bottom - top))
        area = (
            max(0, left - margin),
            max(0, top - margin),
            min(picture.width, right + margin),
            min(picture.height, bottom + margin),
        )
        # A face of 5 blocks a side names nobody, nor does it show an expression; the blur only softens
        # the blocks' edges.
        size = (area[2] - area[0], area[3] - area[1])
        blocks = picture.crop(area).resize((5, 5), Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
        picture.paste(blocks.filter(ImageFilter.GaussianBlur(max(size) / 16)), area)
    return picture


def draw_heat(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Lay heat of shape (H, W), range 0 to 1, over a grey copy of a picture of that size."""
    from matplotlib import colormaps

    # Inferno is even to the eye and readable by the colour-blind (van der Walt and Smith 2015); on grey its
    # colours are not taken for skin. It grows denser with the heat, so that the rest of the face stays clear.
    colours = Image.fromarray(colormaps["inferno"](heat, bytes=True)[..., :3])
    density = Image.fromarray((0.65 * 255 * heat).astype(np.uint8))
    return Image.composite(colours, picture.convert("L").convert("RGB"), density)


def resize_heat(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Give heat (h, w), range 0 to 1, another width and height."""
    # Bicubic, since bilinear interpolation of few places draws stars; it overshoots a little.
    return np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)


def _place_tag(draw: ImageDraw.ImageDraw, box: Box, text: str, font: Font, size: tuple[int, int]) -> Box:
    """Place words above a box, or inside its upper edge where there is no room; never outside the picture."""
    width, height = _measure(draw, text, font)
    left = min(max(0, box[0]), max(0, size[0] - width))
    top = box[1] - height if box[1] >= height else box[1]
    return left, top, left + width, top + height


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _add_legend(draw: ImageDraw.ImageDraw, entries: list[tuple[str, str]], font: Font, size: tuple[int, int]) -> None:
    """Write a tag a class into the lower left corner, one above the other."""
    bottom = size[1]
    for text, colour in reversed(entries):
        width, height = _measure(draw, text, font)
        bottom -= height
        _draw_tag(draw, (0, bottom, width, bottom + height), text, colour, font)


def _draw_tag(draw: ImageDraw.ImageDraw, tag: Box, text: str, colour: str, font: Font) -> None:
    left, top, *_ = draw.textbbox((0, 0), text, font=font)
    draw.rectangle(tag, fill=colour)
    draw.text((tag[0] + 3 - left, tag[1] + 3 - top), text, fill="white", font=font)


def _measure(draw: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return round(right - left) + 6, round(bottom - top) + 6
