"""Colors, patterns and shading of painted objects."""

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit.augment._canvas import Canvas, Plane, turn
from maskkit.augment._landmarks import vector

SURGICAL = ((148, 196, 219), (120, 178, 205), (170, 214, 214), (232, 238, 240), (240, 190, 205), (38, 40, 44))
RESPIRATOR = ((238, 239, 236), (225, 228, 230), (245, 243, 235), (60, 62, 66), (205, 212, 216))


def choose_color(rng: np.random.Generator) -> Plane:
    """Return a random RGB color of clothes, 0 to 255; half of them are black, gray, white or navy."""
    if rng.random() < 0.5:
        gray = rng.choice([rng.uniform(15, 60), rng.uniform(60, 160), rng.uniform(180, 245)])
        return vector(gray, gray, gray) + rng.uniform(-8, 14, 3).astype(np.float32) * vector(0.5, 0.5, 1)
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.95), rng.uniform(0.2, 0.95))
    return vector(*rgb) * 255


def weave(canvas: Canvas, rng: np.random.Generator) -> Plane:
    """Return cloth with a random pattern, (h, w, 3), range 0 to 255."""
    first, second = choose_color(rng), choose_color(rng)
    along, across = turn(canvas.x, canvas.y, rng.uniform(0, np.pi))
    frequency = rng.uniform(2, 9)
    pattern = rng.choice(["plain", "plain", "plain", "stripes", "checks", "dots", "gradient", "print"])
    if pattern == "plain":
        share = np.zeros_like(along)
    elif pattern == "stripes":
        share = (np.sin(2 * np.pi * frequency * along) > rng.uniform(-0.6, 0.6)).astype(np.float32)
    elif pattern == "checks":
        share = 0.5 * ((np.sin(2 * np.pi * frequency * along) > 0) + 1.0 * (np.sin(2 * np.pi * frequency * across) > 0))
    elif pattern == "dots":
        share = (np.cos(np.pi * frequency * along) * np.cos(np.pi * frequency * across) > 0.6).astype(np.float32)
    elif pattern == "gradient":
        share = np.clip(along / 2 + 0.5, 0, 1)
    else:
        share = (soft_noise(canvas, rng, 10) > rng.uniform(-0.3, 0.5)).astype(np.float32)
    return first + share[..., None].astype(np.float32) * (second - first)


def soft_noise(canvas: Canvas, rng: np.random.Generator, n_blobs: int) -> Plane:
    """Return smooth noise of about unit deviation, (h, w), with `n_blobs` blobs along each side."""
    height, width = canvas.x.shape
    coarse = rng.normal(size=(n_blobs, n_blobs)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def shade(canvas: Canvas, color: Plane, rng: np.random.Generator, *, roughness: float = 3.0) -> Plane:
    """Apply the light of the face, rounded sides, wrinkles and grain to a color."""
    side = rng.uniform(-0.25, 0.25)
    roundness = 1 - rng.uniform(0.1, 0.35) * np.clip(np.abs(canvas.x - side), 0, 1.2) ** 2
    wrinkles = 1 + 0.03 * soft_noise(canvas, rng, 7)
    lit = color * (canvas.light * roundness * wrinkles * rng.uniform(0.75, 1.1))[..., None]
    return lit + rng.normal(0, roughness, canvas.x.shape).astype(np.float32)[..., None]


def skin(canvas: Canvas) -> Plane:
    """Return the median color of the face between eyes and mouth."""
    cheeks = (np.abs(canvas.x) < 0.7) & (canvas.y > 0.15) & (canvas.y < 0.6)
    chosen = canvas.small[cheeks] if cheeks.sum() >= 4 else canvas.small.reshape(-1, 3)
    return np.median(chosen, axis=0).astype(np.float32)


def soft_edge(distance: NDArray[Any], width: float = 0.3) -> Plane:
    """Return opacities that rise from 0 to 1 over `width`; 0.5 at distance 0."""
    return np.clip(distance / width + 0.5, 0, 1)
