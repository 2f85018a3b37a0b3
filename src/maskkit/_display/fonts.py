"""Font of the text in pictures."""

from functools import cache
from pathlib import Path

from PIL import ImageFont


@cache
def load_font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font of labels in a size."""
    # Matplotlib ships DejaVu Sans, which covers more scripts than Pillow's default font.
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size_px)
