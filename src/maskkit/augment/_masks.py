"""Drawing of masks on unmasked faces: shape, fabric, straps and shadow."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images.load import RgbImage
from maskkit.augment import _fabric
from maskkit.augment._canvas import Canvas, Plane
from maskkit.augment._landmarks import vector

KINDS = ("surgical", "cloth", "respirator")
WORN = ("correctly", "under_nose", "under_chin")


def paint_mask(
    image: RgbImage,
    landmarks: ArrayLike | None = None,
    *,
    kind: str | None = None,
    worn: str = "correctly",
    random_state: Any = None,
) -> RgbImage:
    """Paint a mask on an unmasked face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        RGB, upright, of any size.
    landmarks : array-like of shape (5, 2), optional
        x and y in pixels: left eye, right eye, nose, left and right corner of the mouth. By default
        their usual positions in a tight crop.
    kind : one of {"surgical", "cloth", "respirator"}, optional
        Kind of mask. By default one of them at random.
    worn : {"correctly", "under_nose", "under_chin"}, default="correctly"
        How the mask is worn.
    random_state : int, numpy.random.Generator or None, default=None
        Seed of shape, color, pattern and light.

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
    color, roughness = _PAINTERS[kind](canvas, top, bottom, rng)
    width = rng.uniform(0.9, 1.0)
    alpha = canvas.between(canvas.y, top, bottom) * canvas.between(canvas.x, -width, width)
    color = _fabric.shade(canvas, color, rng, roughness=roughness)
    # The hem is slightly darker than the cloth.
    hem = canvas.between(canvas.y, top + 0.05, bottom - 0.05)
    color = color * (0.88 + 0.12 * hem)[..., None]
    if worn != "under_chin" and rng.random() < 0.8:
        loops = _ear_loops(canvas, width, rng) * (1 - alpha)
        tint = rng.uniform(200, 245) if rng.random() < 0.75 else rng.uniform(20, 60)
        color = np.where((loops > alpha)[..., None], tint * canvas.light[..., None], color)
        alpha = np.maximum(alpha, loops)
    return canvas.blend(color, alpha, shadow=rng.uniform(0.0, 0.45))


def _edges(canvas: Canvas, kind: str, worn: str, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Return the y of the upper and the lower edge for each x."""
    across = np.clip(np.abs(canvas.x), 0, 1.2)
    sag = rng.uniform(-0.05, 0.05) * canvas.x  # masks are never worn quite straight
    if worn == "correctly":
        bridge = rng.uniform(0.2, 0.42)
        cheek = bridge + rng.uniform(0.05, 0.3)
        chin = canvas.chin + rng.uniform(-0.05, 0.15)
    elif worn == "under_nose":
        # The upper edge lies between the nostrils and the upper lip.
        bridge = canvas.mouth - rng.uniform(0.16, 0.34)
        cheek = bridge + rng.uniform(-0.1, 0.1)
        chin = canvas.chin + rng.uniform(0.0, 0.25)
    else:
        bridge = canvas.mouth + rng.uniform(0.2, 0.45)
        cheek = bridge - rng.uniform(0.0, 0.4)
        chin = canvas.chin + rng.uniform(0.3, 0.8)
    jaw = min(chin - 0.25, canvas.mouth + rng.uniform(0.0, 0.3))
    # Exponents of the upper and lower edge: higher ones keep the edge flat in the middle and bend it near the ears.
    peak = {"surgical": 1.6, "cloth": 1.2, "respirator": 1.0}[kind]
    closing = {"surgical": 3.0, "cloth": 2.2, "respirator": 1.8}[kind]
    top = bridge + (cheek - bridge) * across**peak + sag
    bottom = chin - (chin - jaw) * across**closing + sag
    return top.astype(np.float32), bottom.astype(np.float32)


def _surgical(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    color = _jitter(_fabric.SURGICAL, (5, 3, 2, 2, 1, 3), rng)
    height = (canvas.y - top) / np.maximum(bottom - top, 1e-3)
    folds = np.ones_like(height)
    depth = rng.uniform(0.04, 0.16)
    for fold in np.linspace(0.22, 0.78, rng.integers(2, 5)) + rng.uniform(-0.04, 0.04):
        # A fold is bright above and casts a shadow below.
        bend = fold + 0.04 * np.abs(canvas.x)
        bright, dark = (np.exp(-(((height - bend + offset) / 0.02) ** 2)) for offset in (0.02, 0))
        folds += depth * (bright - 1.3 * dark)
    return color * folds[..., None].astype(np.float32), 2.0


def _cloth(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    color = _fabric.weave(canvas, rng)
    if rng.random() < 0.5:
        seam = np.exp(-((canvas.x / 0.02) ** 2))
        color = color * (1 - rng.uniform(0.1, 0.35) * seam)[..., None]
    return color, rng.uniform(2, 6)


def _respirator(canvas: Canvas, top: Plane, bottom: Plane, rng: np.random.Generator) -> tuple[Plane, float]:
    color = _jitter(_fabric.RESPIRATOR, (4, 3, 3, 2, 2), rng)
    # A cup stands out: bright on its ridge, darker to the sides.
    ridge = 1.08 - rng.uniform(0.15, 0.4) * np.clip(np.abs(canvas.x), 0, 1)
    seam = np.exp(-((canvas.x / 0.025) ** 2)) if rng.random() < 0.6 else np.zeros_like(canvas.x)
    color = color * (ridge * (1 - 0.15 * seam))[..., None]
    if rng.random() < 0.3:
        side, size = rng.choice((-0.45, 0.0, 0.45)), rng.uniform(0.16, 0.24)
        distance = np.hypot(canvas.x - side, canvas.y - canvas.mouth + 0.05)
        rim = np.exp(-(((distance - size) / 0.03) ** 2))
        inside = canvas.between(distance, high=size)
        color = color * (1 - 0.12 * inside - 0.25 * rim)[..., None]
    return color, 2.0


_PAINTERS = {"surgical": _surgical, "cloth": _cloth, "respirator": _respirator}


def _jitter(colors: tuple[tuple[int, int, int], ...], odds: tuple[int, ...], rng: np.random.Generator) -> Plane:
    chosen = rng.choice(len(colors), p=np.array(odds) / sum(odds))
    return vector(*colors[chosen]) + rng.normal(0, 8, 3).astype(np.float32)


def _ear_loops(canvas: Canvas, width: float, rng: np.random.Generator) -> Plane:
    """Return the opacity of the loops from the sides of the mask to the ears."""
    thickness = rng.uniform(0.02, 0.045)
    upper, lower = rng.uniform(0.3, 0.6), canvas.mouth + rng.uniform(-0.1, 0.2)
    ear = rng.uniform(0.05, 0.35)
    reach = (np.abs(canvas.x) - (width - 0.05)) / 0.35
    strings = np.zeros_like(canvas.x)
    for start in (upper, lower):
        line = start + (ear - start) * np.clip(reach, 0, 1)
        strings = np.maximum(strings, canvas.between(canvas.y, line - thickness, line + thickness))
    return strings * canvas.between(reach, 0.0, 1.0)
