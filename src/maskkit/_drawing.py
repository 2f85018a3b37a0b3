"""Boxes, words and blur over a photo."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from maskkit._labels import colour_of

Box = tuple[int, int, int, int]


def draw_faces(
    picture: Image.Image, boxes: Sequence[Box], labels: Sequence[tuple[Any, float]], classes: Sequence[Any]
) -> Image.Image:
    """Draw boxes with their labels and probabilities over a copy of a picture.

    Line and letters grow with the picture, and shrink for small faces.
    """
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    longer_px = max(picture.size)
    width = max(2, round(longer_px / 350))
    # The largest faces come first and are drawn last, on top.
    for box, (label, probability) in reversed(list(zip(boxes, labels, strict=True))):
        colour = colour_of(label, classes)
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=colour, width=width)
        size = min(max(11, longer_px / 45), max(11, (box[2] - box[0]) / 5))
        _write(draw, box, f"{label} {probability:.0%}", colour, ImageFont.load_default(size), picture.size)
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


def _write(
    draw: ImageDraw.ImageDraw,
    box: Box,
    text: str,
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """Write above the box, or inside its upper edge where there is no room; never outside the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(0, box[0]), max(0, size[0] - width))
    y = box[1] - height if box[1] >= height else box[1]
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font)
