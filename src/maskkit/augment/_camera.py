"""Augmentation of face crops: light, cameras, resolution and framing."""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from PIL.Image import Resampling

from maskkit._images.crop import cut
from maskkit._images.load import RgbImage, compress_jpeg

# Longer side at which images are augmented, in pixels. It exceeds every default input size.
WORKING_PX = 192
_KERNELS = (Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)

# Probabilities and ranges of the changes, which `_camera_batch` shares.
ZOOM_PROBABILITY = 0.1
ZOOM_FACTORS = (1.2, 3.0)
# The face lies in this upper part of the space that is left.
ZOOM_LOWEST = 0.6
NOISE_PROBABILITY = 0.5
NOISE_SPREADS = (0, 30)
ANGLES_DEG = (-15, 15)
SCALES = (0.8, 1.25)
SHIFTS = (-0.1, 0.1)
LIGHT_PROBABILITY = 0.5
LIGHT_FACTORS = (0.5, 1.5)
GRAY_PROBABILITY = 0.1
BLUR_PROBABILITY = 0.2
BLUR_SIGMAS_PX = (0.3, 2.0)
SHRINK_PROBABILITY = 0.6
SHRUNK_PX = (10, 112)
# Of shrunk and of other images; the upper quality is excluded.
JPEG_PROBABILITIES = (0.5, 0.3)
JPEG_QUALITIES = (25, 96)


def augment_face(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Return an augmented copy of a face crop, at most 192 px, as other cameras and detectors would show it.

    In this order: one face in ten is placed in a larger picture; the picture is shifted and scaled by as much as
    detectors vary, mirrored, and rotated by up to 15 degrees; light, contrast and color change; then it is blurred,
    shrunk and compressed as by a poor camera.
    """
    picture = Image.fromarray(shrink_face(image))
    if rng.random() < ZOOM_PROBABILITY:
        picture = _zoom_out(picture, rng)
    picture = _move(picture, rng)
    picture = _relight(picture, rng)
    if rng.random() < BLUR_PROBABILITY:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR_SIGMAS_PX)))
    if rng.random() < SHRINK_PROBABILITY:
        picture = _shrink_and_grow(picture, rng)
    elif rng.random() < JPEG_PROBABILITIES[1]:
        picture = compress_jpeg(picture, int(rng.integers(*JPEG_QUALITIES)))
    return np.asarray(picture)


def shrink_face(image: RgbImage) -> RgbImage:
    """Return a face crop at the size at which it is augmented: unchanged, or shrunk to 192 px."""
    picture = Image.fromarray(image)
    picture.thumbnail((WORKING_PX, WORKING_PX), Resampling.BILINEAR)
    return np.asarray(picture)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _zoom_out(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Place the face in a picture up to three times as large, filled with its repeated edges or with colored noise."""
    width, height = picture.size
    factor = _log_uniform(rng, *ZOOM_FACTORS)
    large = (round(width * factor), round(height * factor))
    left, top = int(rng.uniform(0, large[0] - width)), int(rng.uniform(0, ZOOM_LOWEST * (large[1] - height)))
    if rng.random() < 1 - NOISE_PROBABILITY:
        zoomed = Image.fromarray(cut(np.asarray(picture), -left, -top, *large))
    else:
        cells = (large[1] // 8 + 1, large[0] // 8 + 1, 3)
        noise = rng.integers(0, 256, 3) + rng.normal(0, rng.uniform(*NOISE_SPREADS), cells)
        zoomed = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(large, Resampling.BICUBIC)
        zoomed.paste(picture, (left, top))
    return zoomed.resize((width, height), Resampling.BILINEAR)


def _move(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shift, scale, mirror and rotate in one resampling; outside the image, its edge is repeated."""
    width, height = picture.size
    angle = math.radians(rng.uniform(*ANGLES_DEG))
    scale = _log_uniform(rng, *SCALES)
    mirror = rng.choice((-1, 1))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    margin = max(width, height) // 2
    center_x, center_y = width / 2, height / 2
    from_x = center_x + margin + rng.uniform(*SHIFTS) * width
    from_y = center_y + margin + rng.uniform(*SHIFTS) * height
    # Pillow's matrix (a, b, c, d, e, f) maps each target pixel to its position in the source, so its scale is the
    # inverse. The margin repeats the edge, because black corners would show that a picture was rotated.
    matrix = (
        mirror * cos, mirror * sin, from_x - mirror * (cos * center_x + sin * center_y),
        -sin, cos, from_y + sin * center_x - cos * center_y,
    )  # fmt: skip
    pixels = cut(np.asarray(picture), -margin, -margin, width + 2 * margin, height + 2 * margin)
    return Image.fromarray(pixels).transform((width, height), Image.Transform.AFFINE, matrix, Resampling.BILINEAR)


def _relight(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < LIGHT_PROBABILITY:
            picture = enhance(picture).enhance(rng.uniform(*LIGHT_FACTORS))
    if rng.random() < GRAY_PROBABILITY:
        picture = ImageOps.grayscale(picture).convert("RGB")
    return picture


def _shrink_and_grow(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shrink a face to 10-112 px, log-uniformly, and enlarge it to its original size."""
    size = picture.size
    share = min(1.0, _log_uniform(rng, *SHRUNK_PX) / max(size))
    small = (max(1, round(size[0] * share)), max(1, round(size[1] * share)))
    picture = picture.resize(small, _KERNELS[rng.integers(len(_KERNELS))])
    if rng.random() < JPEG_PROBABILITIES[0]:
        picture = compress_jpeg(picture, int(rng.integers(*JPEG_QUALITIES)))
    return picture.resize(size, _KERNELS[rng.integers(len(_KERNELS))])
