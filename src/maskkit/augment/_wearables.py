"""Occluders worn on or around a face: beard, scarf, strap, hood, helmet and face shield."""

import numpy as np

from maskkit.augment import _fabric
from maskkit.augment._canvas import Canvas, Plane
from maskkit.augment._landmarks import vector


def beard(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a beard around the mouth."""
    gray = rng.uniform(15, 90)
    tone = vector(gray, gray, gray) * vector(1.0, rng.uniform(0.75, 1.0), rng.uniform(0.55, 0.95))
    height = rng.uniform(-0.25, 0.1)
    top = canvas.mouth + height - 0.45 * np.clip(np.abs(canvas.x), 0, 1) ** 3
    bottom = canvas.chin + rng.uniform(0.0, 0.5) - 0.45 * np.clip(np.abs(canvas.x), 0, 1.2) ** 2
    lips = np.hypot(canvas.x / 0.36, (canvas.y - canvas.mouth) / 0.13)
    edge = 0.05 * _fabric.soft_noise(canvas, rng, 40)
    alpha = (
        _fabric.soft_edge(canvas.y - top + edge)
        * _fabric.soft_edge(bottom - canvas.y + edge)
        * _fabric.soft_edge(1.0 - np.abs(canvas.x) + edge)
    )
    alpha = alpha * np.clip((lips - 0.8) * 3, 0, 1) * rng.uniform(0.6, 0.97)
    hair = rng.normal(0, 18, canvas.x.shape).astype(np.float32)[..., None]
    return tone * canvas.light[..., None] + hair, alpha


def scarf(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a scarf around the neck, up to below the lower lip."""
    top = canvas.mouth + rng.uniform(0.3, 0.6) + rng.uniform(-0.4, 0.1) * np.clip(np.abs(canvas.x), 0, 1.5)
    top = np.maximum(top, canvas.mouth + 0.22) + 0.06 * _fabric.soft_noise(canvas, rng, 6)
    folds = 1 + 0.12 * np.sin(rng.uniform(5, 14) * (canvas.y + rng.uniform(-0.6, 0.6) * canvas.x))
    color = _fabric.weave(canvas, rng) * folds[..., None]
    neck = _fabric.soft_edge(rng.uniform(1.3, 1.9) + 0.3 * (canvas.y - canvas.chin) - np.abs(canvas.x))
    return _fabric.shade(canvas, color, rng, roughness=5), canvas.between(canvas.y, low=top) * neck


def strap(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a strap or a collar at the lower edge of the face."""
    side, slope = rng.choice((-1, 1)), rng.uniform(0.3, 2.0)
    line = canvas.chin + rng.uniform(-0.15, 0.3) - slope * np.clip(side * canvas.x - rng.uniform(-0.2, 0.6), 0, 2)
    line = np.maximum(line, canvas.mouth - 0.3 + 2.5 * np.clip(0.8 - side * canvas.x, 0, 1))
    width = rng.uniform(0.2, 1.5)
    return _fabric.shade(canvas, _fabric.weave(canvas, rng), rng), canvas.between(canvas.y, line, line + width)


def hood(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a hood: cloth over the forehead and down the sides, open or closed under the chin."""
    forehead = rng.uniform(-1.1, -0.45)
    middle = (forehead + canvas.chin + rng.uniform(0.0, 0.3)) / 2
    half_height = canvas.chin + 0.15 - middle + rng.uniform(0.0, 0.25)
    half_width = rng.uniform(0.85, 1.15)
    wave = 0.03 * _fabric.soft_noise(canvas, rng, 6)
    distance = np.hypot(canvas.x / half_width, (canvas.y - middle) / half_height) + wave
    alpha = _fabric.soft_edge(distance - 1, 0.05)
    # Above the middle, the hood ends at an outer ellipse; below it, cloth continues to the edge of the picture.
    outer_width, outer_height = half_width + rng.uniform(0.35, 0.9), half_height + rng.uniform(0.4, 1.0)
    outer = np.hypot(canvas.x / outer_width, (canvas.y - middle) / outer_height)
    alpha = alpha * np.where(canvas.y > middle, 1.0, _fabric.soft_edge(1 - outer, 0.05))
    if rng.random() < 0.35:
        alpha = alpha * _fabric.soft_edge(canvas.mouth + rng.uniform(0.0, 0.8) - canvas.y)  # open below
    folds = 1 + 0.15 * np.sin(rng.uniform(4, 12) * (distance + rng.uniform(-0.3, 0.3) * canvas.x))
    inner = 1 - rng.uniform(0.1, 0.5) * np.exp(-(((distance - 1) / 0.12) ** 2))
    return _fabric.shade(canvas, _fabric.weave(canvas, rng) * (folds * inner)[..., None], rng, roughness=5), alpha


def helmet(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a helmet: a hard shell over the forehead with a strap to the chin."""
    brim = rng.uniform(-0.9, -0.3) + rng.uniform(-0.1, 0.25) * np.clip(np.abs(canvas.x), 0, 1.4) ** 2
    shell = canvas.between(canvas.y, high=brim) * np.clip((1.5 - np.abs(canvas.x)) / 0.05, 0, 1)
    gloss = 1.1 - 0.4 * np.abs(canvas.x - rng.uniform(-0.5, 0.5))
    tone = _fabric.choose_color(rng) * gloss[..., None]
    edge = rng.uniform(0.75, 1.0)
    width = rng.uniform(0.05, 0.12)
    line = edge * np.clip(1 - np.clip(canvas.y / (canvas.chin + 0.05), 0, 9) ** rng.uniform(2, 4), 0, 1)
    strap = canvas.between(np.abs(canvas.x), line - width, line + width)
    strap = strap * canvas.between(canvas.y, brim, canvas.chin + 0.1)
    under = canvas.between(canvas.y, canvas.chin - width, canvas.chin + width)
    strap = np.maximum(strap, under * canvas.between(np.abs(canvas.x), high=0.4))
    dark = vector(1, 1, 1) * rng.uniform(15, 120)
    color = np.where((shell > 0.5)[..., None], tone, dark)
    return _fabric.shade(canvas, color.astype(np.float32), rng), np.maximum(shell, strap)


def shield(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a transparent face shield: a headband over the forehead, and a sheet with reflections down to the chin."""
    band = rng.uniform(-1.1, -0.7)
    thickness = rng.uniform(0.12, 0.3)
    bottom = canvas.chin + rng.uniform(0.0, 0.5) - 0.2 * np.clip(np.abs(canvas.x), 0, 1.3) ** 2
    half_width = rng.uniform(1.1, 1.35)
    sheet = canvas.between(canvas.x, -half_width, half_width) * canvas.between(canvas.y, band, bottom)
    edge = np.minimum(half_width - np.abs(canvas.x), bottom - canvas.y)
    # Light is reflected along a few slanted stripes, and at the edge, where the sheet is seen from its side.
    slant = canvas.x + rng.uniform(-0.5, 0.5) * canvas.y
    stripes = np.exp(-(((slant - rng.uniform(-1, 1)) / rng.uniform(0.05, 0.3)) ** 2))
    stripes = np.maximum(stripes, np.exp(-(((slant - rng.uniform(-1, 1)) / 0.06) ** 2)))
    haze = rng.uniform(0.03, 0.2) + rng.uniform(0.15, 0.6) * stripes + 0.4 * np.exp(-((edge / 0.04) ** 2))
    is_band = canvas.between(canvas.y, band - thickness, band) * canvas.between(canvas.x, -half_width, half_width)
    tint = vector(rng.uniform(0.85, 1), rng.uniform(0.9, 1), 1) * rng.uniform(190, 250)
    color = np.where((is_band > 0.5)[..., None], _fabric.choose_color(rng), tint)
    return color.astype(np.float32), np.maximum(is_band, sheet * np.clip(haze, 0, 0.85))
