"""Size, brightness and sharpness of images: one definition for slices and audits."""

import numpy as np
from PIL import Image

from maskkit._images.load import RgbImage

SIZE_BINS = {"<16 px": (0, 16), "16-32 px": (16, 32), "32-64 px": (32, 64), "64+ px": (64, np.inf)}
"""Bins of the longer side of a face: name -> lower bound, and upper bound (exclusive), in pixels."""

# Images of any size are resized to this side first. Without it, sharpness would mostly measure the size.
MEASURED_PX = 64


def measure_brightness_and_sharpness(image: RgbImage) -> tuple[float, float]:
    """Return the mean luma and the variance of the Laplacian of an image, resized to 64 x 64 px.

    Luma is that of ITU-R BT.601, as Pillow converts, in the range 0 to 255. The variance of the Laplacian as a measure
    of focus: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy", ICPR 3, 314-317.
    """
    picture = Image.fromarray(image).convert("L").resize((MEASURED_PX, MEASURED_PX), Image.Resampling.BILINEAR)
    luma = np.asarray(picture, dtype=np.float64)
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    return float(luma.mean()), float(laplacian.var())
