"""What training images may look like: other light, worse cameras, smaller faces, other crops."""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from maskkit._images.load import RgbImage, compress_jpeg

# Longer side that is worked at, in pixels: more than any default input keeps, and quick.
_WORKING_PX = 192
_KERNELS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


def augment_face(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Give a changed copy of a face crop, as other cameras and other detectors would show it.

    In this order: a larger picture around one face in ten; shift and scale as detectors jitter, mirror,
    turn up to 15 degrees; light, contrast and colour; then what a poor camera does: blur, few pixels, JPEG.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    rng : numpy.random.Generator
        Decides everything; equal states give equal pictures.

    Returns
    -------
    changed : ndarray of shape (h, w, 3), uint8
        Of the same proportions, at most 192 px on the longer side.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((_WORKING_PX, _WORKING_PX), Image.Resampling.BILINEAR)
    if rng.random() < 0.1:
        picture = _zoom_out(picture, rng)
    picture = _move(picture, rng)
    picture = _relight(picture, rng)
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.0)))
    if rng.random() < 0.6:
        picture = _shrink_and_grow(picture, rng)
    elif rng.random() < 0.3:
        picture = compress_jpeg(picture, int(rng.integers(25, 96)))
    return np.asarray(picture)


def _zoom_out(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Put the face somewhere in a picture up to three times as large: its own edges repeated, or coloured noise."""
    width, height = picture.size
    factor = math.exp(rng.uniform(math.log(1.2), math.log(3.0)))
    large = (round(width * factor), round(height * factor))
    left, top = int(rng.uniform(0, large[0] - width)), int(rng.uniform(0, 0.6 * (large[1] - height)))
    if rng.random() < 0.5:
        around = ((top, large[1] - height - top), (left, large[0] - width - left), (0, 0))
        zoomed = Image.fromarray(np.pad(np.asarray(picture), around, mode="edge"))
    else:
        noise = rng.integers(0, 256, 3) + rng.normal(0, rng.uniform(0, 30), (large[1] // 8 + 1, large[0] // 8 + 1, 3))
        zoomed = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(large, Image.Resampling.BICUBIC)
        zoomed.paste(picture, (left, top))
    return zoomed.resize((width, height), Image.Resampling.BILINEAR)


def _move(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shift, scale, mirror and turn in one resampling; what lies outside repeats the edge."""
    width, height = picture.size
    angle = math.radians(rng.uniform(-15, 15))
    scale = math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
    mirror = rng.choice((-1, 1))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    margin = max(width, height) // 2
    centre_x, centre_y = width / 2, height / 2
    from_x = centre_x + margin + rng.uniform(-0.1, 0.1) * width
    from_y = centre_y + margin + rng.uniform(-0.1, 0.1) * height
    # Pillow asks where in the source each target pixel comes from: (a, b, c, d, e, f).
    matrix = (
        mirror * cos, mirror * sin, from_x - mirror * (cos * centre_x + sin * centre_y),
        -sin, cos, from_y + sin * centre_x - cos * centre_y,
    )  # fmt: skip
    padded = Image.fromarray(np.pad(np.asarray(picture), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    return padded.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _relight(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < 0.5:
            picture = enhance(picture).enhance(rng.uniform(0.5, 1.5))
    if rng.random() < 0.1:
        picture = ImageOps.grayscale(picture).convert("RGB")
    return picture


def _shrink_and_grow(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Show a face of 10 to 112 px, each size as likely as its half, at the old size again."""
    size = picture.size
    share = min(1.0, math.exp(rng.uniform(math.log(10), math.log(112))) / max(size))
    small = (max(1, round(size[0] * share)), max(1, round(size[1] * share)))
    picture = picture.resize(small, _KERNELS[rng.integers(len(_KERNELS))])
    if rng.random() < 0.5:
        picture = compress_jpeg(picture, int(rng.integers(25, 96)))
    return picture.resize(size, _KERNELS[rng.integers(len(_KERNELS))])
