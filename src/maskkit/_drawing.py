"""Boxes, words, blur and heat over a photo."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from maskkit._labels import colour_of

Box: TypeAlias = tuple[int, int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_faces(
    picture: Image.Image, boxes: Sequence[Box], labels: Sequence[tuple[Any, float]], classes: Sequence[Any]
) -> Image.Image:
    """Draw boxes with their labels and probabilities over a copy of a picture.

    Lines and letters grow with the picture. A face that is small for its words gets the percentage
    alone, a tiny one only its box; then a legend says which colour is which class.
    """
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    longer_px = max(picture.size)
    line_px = max(1, round(longer_px / 350))
    font = ImageFont.load_default(max(10, longer_px / 50))
    n_shortened = 0
    # The largest faces come first and are drawn last, on top.
    for box, (label, probability) in reversed(list(zip(boxes, labels, strict=True))):
        colour = colour_of(label, classes)
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=colour, width=line_px)
        words, number = f"{label} {probability:.0%}", f"{probability:.0%}"
        room_px = 1.75 * (box[2] - box[0])
        fitting = [text for text in (words, number) if font.getlength(text) <= room_px]
        n_shortened += words not in fitting
        if fitting:
            _write(draw, (box[0], box[1]), fitting[0], colour, font, picture.size)
    if n_shortened:
        counts = Counter(label for label, _ in labels)
        _add_legend(
            draw, [(f"{counts[label]} {label}", colour_of(label, classes)) for label in counts], font, picture.size
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
        # A face of 8 blocks a side names nobody; the blur only softens the blocks' edges.
        size = (area[2] - area[0], area[3] - area[1])
        blocks = picture.crop(area).resize((8, 8), Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
        picture.paste(blocks.filter(ImageFilter.GaussianBlur(max(size) / 32)), area)
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


def _write(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: str, font: Font, size: tuple[int, int]
) -> None:
    """Write above a box's corner, or below it where there is no room; never outside the picture."""
    width, height = _measure(draw, text, font)
    x = min(max(0, corner[0]), max(0, size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    _draw_tag(draw, (x, y), text, colour, font)


def _add_legend(draw: ImageDraw.ImageDraw, entries: list[tuple[str, str]], font: Font, size: tuple[int, int]) -> None:
    """Write a tag a class into the lower left corner, one above the other."""
    bottom = size[1]
    for text, colour in reversed(entries):
        bottom -= _measure(draw, text, font)[1]
        _draw_tag(draw, (0, bottom), text, colour, font)


def _draw_tag(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: str, font: Font) -> None:
    width, height = _measure(draw, text, font)
    left, top, *_ = draw.textbbox((0, 0), text, font=font)
    draw.rectangle((*place, place[0] + width, place[1] + height), fill=colour)
    draw.text((place[0] + 3 - left, place[1] + 3 - top), text, fill="white", font=font)


def _measure(draw: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return round(right - left) + 6, round(bottom - top) + 6
