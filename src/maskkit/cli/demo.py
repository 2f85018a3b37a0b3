"""maskkit demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskkit.cli._options import DEFAULT_MODEL, ModelOption, check_picture, load_model

if TYPE_CHECKING:
    from maskkit import FaceResult
    from maskkit._images import RgbImage


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")] = Path("maskkit-demo.png"),
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Show maskkit at work on a portrait that comes with scikit-image; needs no data and no network.

    The portrait is NASA's of the astronaut Eileen Collins, in the public domain. A mask is painted on
    a second copy, both are joined into one photo, and the faces in it are found and classified.

    Example: maskkit demo
    """
    import numpy as np
    import rich
    from skimage.data import astronaut

    check_picture(out)
    classifier = load_model(model)
    portrait = astronaut()
    masked = _paint_mask(portrait, classifier.predict_faces(portrait)[0])
    photo = classifier.predict_faces(np.hstack([portrait, masked]))
    rich.print(photo)
    print(f"written: {photo.save(out)}")


def _paint_mask(image: "RgbImage", face: "FaceResult") -> "RgbImage":
    """Paint a surgical mask from the bridge of the nose to under the chin, with folds and ear loops."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    left, top, right, bottom = face.box
    width, height = right - left, bottom - top
    eyes_y = top + 0.42 * height if face.landmarks is None else (face.landmarks[0][1] + face.landmarks[1][1]) / 2
    nose = (left + right) / 2 if face.landmarks is None else face.landmarks[2][0]
    upper, lower = eyes_y + 0.12 * height, bottom + 0.03 * height
    outline = [
        (left + 0.06 * width, upper + 0.08 * height),
        (nose, upper - 0.02 * height),
        (right - 0.06 * width, upper + 0.08 * height),
        (right - 0.10 * width, lower - 0.22 * height),
        (nose + 0.16 * width, lower),
        (nose - 0.16 * width, lower),
        (left + 0.10 * width, lower - 0.22 * height),
    ]
    # Drawn four times as large and shrunk, so that edges are smooth.
    grow = 4
    layer = Image.new("RGBA", (image.shape[1] * grow, image.shape[0] * grow))
    draw = ImageDraw.Draw(layer)
    for side, edge in ((left - 0.02 * width, 0), (right + 0.02 * width, 2)):
        for corner, ear in ((outline[edge], eyes_y), (outline[6 if edge == 0 else 3], eyes_y + 0.15 * height)):
            draw.line([(corner[0] * grow, corner[1] * grow), (side * grow, ear * grow)], fill="#eef3f5", width=2 * grow)
    draw.polygon([(x * grow, y * grow) for x, y in outline], fill="#9cc9dc")
    for share in (0.3, 0.5, 0.7):
        y = upper + 0.1 * height + share * (lower - upper - 0.15 * height)
        ends = (left + 0.12 * width, y), (nose, y + 0.03 * height), (right - 0.12 * width, y)
        draw.line([(x * grow, y * grow) for x, y in ends], fill="#7fb0c6", width=grow, joint="curve")
    portrait = Image.fromarray(image).convert("RGBA")
    layer = layer.filter(ImageFilter.GaussianBlur(grow / 2)).resize(portrait.size, Image.Resampling.LANCZOS)
    painted = Image.alpha_composite(portrait, layer)
    return np.asarray(painted.convert("RGB"))
