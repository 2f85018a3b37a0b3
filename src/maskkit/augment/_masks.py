"""Masks on bare faces."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images.load import RgbImage
from maskkit.augment import _fabric
from maskkit.augment._canvas import Canvas, Plane
from maskkit.augment._landmarks import vector

KINDS = ("surgical", "cloth", "respirator")
WORN = ("right", "under_nose", "under_chin")


def paint_mask(
    image: RgbImage,
    landmarks: ArrayLike | None = None,
    *,
    kind: str | None = None,
    worn: str = "right",
    random_state: Any = None,
) -> RgbImage:
    """Paint a mask on a bare face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        RGB, upright, of any size.
    landmarks : array-like of shape (5, 2), optional
        x and y in pixels: left eye, right eye, nose, left and right corner of the mouth. By default where
        they usually are in a tight crop.
    kind : one of {"surgical", "cloth", "respirator"}, optional
        By default one of them at random.
    worn : {"right", "under_nose", "under_chin"}, default="right"
    random_state : int, numpy.random.Generator or None, default=None
        Decides shape, colour, pattern and light.

    Returns
    -------
    painted : ndarray of shape (H, W, 3), uint8

    Raises
    ------
    ValueError
        If `kind` or `worn` is unknown, or the landmarks are not five points.
    """
    rng = np.random.default_rng(random_state)
    if kind is None:
        kind = KINDS[rng.choice(3, p=(0.45, 0.35, 0.2))]
    for name, value, known in (("kind", kind, KINDS), ("worn", worn, WORN)):
        if value not in known:
            raise ValueError(f"{name}={value!r} is unknown; use {', '.join(map(repr, known))}.")
    canvas = Canvas(image, landmarks)
    top, bottom = _edges(canvas, kind, worn, rng)
    colour, roughness = _PAINTERS[kind](canvas, top, bottom, rng)
    width = rng.uniform(0.9, 1.0)
    alpha = canvas.between(canvas.y, top, bottom) * canvas.between(canvas.x, -width, width)
    colour = _fabric.shade(canvas, colour, rng, roughness=roughness)
    # A hem is a little darker than the cloth.
    hem = canvas.between(canvas.y, top + 0.05, bottom - 0.05)
    colour = colour * (0.88 + 0.12 * hem)[..., None]
    if worn != "under_chin" and rng.random() < 0.8:
        loops = _ear_loops(canvas, width, rng) * (1 - alpha)
        tint = rng.uniform(200, 245) if rng.random() < 0.75 else rng.uniform(20, 60)
        total = np.maximum(alpha, loops)
        colour = np.where((loops > alpha)[..., None], tint * canvas.light[..., None], colour)
        alpha = total
    return canvas.lay(colour, alpha, shadow=rng.uniform(0.0, 0.45))


def _edges(canvas: Canvas, kind: str, worn: str, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Give the y of the upper and the lower edge for each x."""
    across = np.clip(np.abs(canvas.x), 0, 1.2)
    sag = rng.uniform(-0.05, 0.05) * canvas.x  # never quite straight
    if worn == "right":
        bridge = rng.uniform(0.2, 0.42)
        cheek = bridge + rng.uniform(0.05, 0.3)
        chin = canvas.chin + rng.uniform(-0.05, 0.15)
    elif worn == "under_nose":
        # From the nostrils to the upper lip.
        bridge = canvas.mouth - rng.uniform(0.16, 0.34)
        cheek = bridge + rng.uniform(-0.1, 0.1)
        chin = canvas.chin + rng.uniform(0.0, 0.25)
    else:
        bridge = canvas.mouth + rng.uniform(0.2, 0.45)
        cheek = bridge - rng.uniform(0.0, 0.4)
        chin = canvas.chin + rng.uniform(0.3, 0.8)
    jaw = min(chin - 0.25, canvas.mouth + rng.uniform(0.0, 0.3))
    peak = {"surgical": 1.6, "cloth": 1.2, "respirator": 1.0}[kind]
    closing = {"surgical": 3.0, "cloth": 2.2, "respirator": 1.8}[kind]
    top = bridge + (cheek - bridge) * across**peak + sag
    bottom = chin - (chin - jaw) * across**closing + sag
    return top.astype(np.float32), bottom.astype(np.float32)


def _surgical(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    colour = np.broadcast_to(_jitter(_fabric.SURGICAL, (5, 3, 2, 2, 1, 3), rng), (*canvas.x.shape, 3))
    height = (canvas.y - top) / np.maximum(bottom - top, 1e-3)
    folds = np.ones_like(height)
    depth = rng.uniform(0.04, 0.16)
    for fold in np.linspace(0.22, 0.78, rng.integers(2, 5)) + rng.uniform(-0.04, 0.04):
        # Above a fold the cloth catches light, below it lies its shadow.
        bend = fold + 0.04 * np.abs(canvas.x)
        folds += depth * (
            np.exp(-(((height - bend + 0.02) / 0.02) ** 2)) - np.exp(-(((height - bend) / 0.02) ** 2)) * 1.3
        )
    return colour * folds[..., None].astype(np.float32), 2.0


def _cloth(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    colour = _fabric.weave(canvas, rng)
    if rng.random() < 0.5:
        seam = np.exp(-((canvas.x / 0.02) ** 2))
        colour = colour * (1 - rng.uniform(0.1, 0.35) * seam)[..., None]
    return colour, rng.uniform(2, 6)


def _respirator(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    colour = np.broadcast_to(_jitter(_fabric.RESPIRATOR, (4, 3, 3, 2, 2), rng), (*canvas.x.shape, 3))
    # A cup stands out: bright on its ridge, darker to the sides.
    ridge = 1.08 - rng.uniform(0.15, 0.4) * np.clip(np.abs(canvas.x), 0, 1)
    seam = np.exp(-((canvas.x / 0.025) ** 2)) if rng.random() < 0.6 else np.zeros_like(canvas.x)
    colour = colour * (ridge * (1 - 0.15 * seam))[..., None]
    if rng.random() < 0.3:
        side, size = rng.choice((-0.45, 0.0, 0.45)), rng.uniform(0.16, 0.24)
        distance = np.hypot(canvas.x - side, canvas.y - canvas.mouth + 0.05)
        rim = np.exp(-(((distance - size) / 0.03) ** 2))
        inside = canvas.between(-distance, -size, 9.0)
        colour = colour * (1 - 0.12 * inside - 0.25 * rim)[..., None]
    return colour, 2.0


_PAINTERS = {"surgical": _surgical, "cloth": _cloth, "respirator": _respirator}


def _jitter(colours: tuple[tuple[int, int, int], ...], odds: tuple[int, ...], rng: np.random.Generator) -> Plane:
    chosen = rng.choice(len(colours), p=np.array(odds) / sum(odds))
    return vector(*colours[chosen]) + rng.normal(0, 8, 3).astype(np.float32)


def _ear_loops(canvas: Canvas, width: float, rng: np.random.Generator) -> Plane:
    """Give the strings from the mask's sides towards the ears."""
    thickness = rng.uniform(0.02, 0.045)
    upper, lower = rng.uniform(0.3, 0.6), canvas.mouth + rng.uniform(-0.1, 0.2)
    ear = rng.uniform(0.05, 0.35)
    reach = (np.abs(canvas.x) - (width - 0.05)) / 0.35
    strings = np.zeros_like(canvas.x)
    for start in (upper, lower):
        line = start + (ear - start) * np.clip(reach, 0, 1)
        strings = np.maximum(strings, canvas.between(canvas.y, line - thickness, line + thickness))
    return strings * canvas.between(reach, 0.0, 1.0)
