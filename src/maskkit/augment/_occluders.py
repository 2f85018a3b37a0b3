"""Things before a face that are no masks."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images import RgbImage
from maskkit.augment import _before, _fabric
from maskkit.augment._canvas import Canvas, Plane
from maskkit.augment._landmarks import vector

OCCLUDERS = ("hand", "scarf", "beard", "paper", "strap", "hood", "helmet", "microphone", "fist", "head")

# What is before masked faces as well, and leaves what it does not hide to be seen.
OVER_MASKS = ("hand", "paper", "strap", "hood", "helmet", "microphone", "fist", "head")


def paint_occluder(
    image: RgbImage, landmarks: ArrayLike | None = None, *, kind: str | None = None, random_state: Any = None
) -> RgbImage:
    """Paint something that is no mask before a bare face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        RGB, upright, of any size.
    landmarks : array-like of shape (5, 2), optional
        As in `paint_mask`.
    kind : one of {"hand", "scarf", "beard", "paper", "strap"}, optional
        By default one of them at random. A scarf lies under the lower lip: higher up nobody could say
        that it is no mask.
    random_state : int, numpy.random.Generator or None, default=None

    Returns
    -------
    painted : ndarray of shape (H, W, 3), uint8

    Raises
    ------
    ValueError
        If `kind` is unknown, or the landmarks are not five points.
    """
    rng = np.random.default_rng(random_state)
    if kind is None:
        kind = OCCLUDERS[rng.integers(len(OCCLUDERS))]
    if kind not in OCCLUDERS:
        raise ValueError(f"kind={kind!r} is unknown; use {', '.join(map(repr, OCCLUDERS))}.")
    canvas = Canvas(image, landmarks)
    colour, alpha = _PAINTERS[kind](canvas, rng)
    return canvas.lay(colour, alpha, shadow=0.0 if kind == "beard" else rng.uniform(0.1, 0.5))


def _hand(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    angle = rng.uniform(-0.7, 0.7)
    centre = rng.uniform(-0.5, 0.5), canvas.mouth + rng.uniform(-0.1, 0.4)
    x, y = canvas.x * 1.08 - centre[0], canvas.y - centre[1]
    along = np.cos(angle) * y - np.sin(angle) * x
    across = np.sin(angle) * y + np.cos(angle) * x
    alpha, shading = np.zeros_like(x), np.ones_like(x)
    n_fingers, width = rng.integers(2, 5), rng.uniform(0.16, 0.24)
    for finger in range(n_fingers):
        place = (finger - (n_fingers - 1) / 2) * 2 * width
        tip = -rng.uniform(0.25, 0.6)
        distance = np.hypot(across - place, np.minimum(along - tip, 0))
        inside = canvas.between(-distance, -width, 9.0)
        alpha = np.maximum(alpha, inside)
        shading = np.where(inside > 0.5, 1.05 - 0.3 * np.clip(distance / width, 0, 1) ** 3, shading)
    tone = _fabric.skin(canvas) * rng.uniform(0.8, 1.15)
    return _fabric.shade(canvas, tone * shading[..., None], rng), alpha


def _scarf(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    top = canvas.mouth + rng.uniform(0.3, 0.6) + rng.uniform(-0.4, 0.1) * np.clip(np.abs(canvas.x), 0, 1.5)
    top = np.maximum(top, canvas.mouth + 0.22) + 0.06 * _fabric.soft_noise(canvas, rng, 6)
    folds = 1 + 0.12 * np.sin(rng.uniform(5, 14) * (canvas.y + rng.uniform(-0.6, 0.6) * canvas.x))
    colour = _fabric.weave(canvas, rng) * folds[..., None]
    neck = _fabric.soft(rng.uniform(1.3, 1.9) + 0.3 * (canvas.y - canvas.chin) - np.abs(canvas.x))
    return _fabric.shade(canvas, colour, rng, roughness=5), canvas.between(canvas.y, top, 99.0) * neck


def _beard(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    grey = rng.uniform(15, 90)
    tone = vector(grey, grey, grey) * vector(1.0, rng.uniform(0.75, 1.0), rng.uniform(0.55, 0.95))
    height = rng.uniform(-0.25, 0.1)
    top = canvas.mouth + height - 0.45 * np.clip(np.abs(canvas.x), 0, 1) ** 3
    bottom = canvas.chin + rng.uniform(0.0, 0.5) - 0.45 * np.clip(np.abs(canvas.x), 0, 1.2) ** 2
    lips = np.hypot(canvas.x / 0.36, (canvas.y - canvas.mouth) / 0.13)
    edge = 0.05 * _fabric.soft_noise(canvas, rng, 40)
    alpha = (
        _fabric.soft(canvas.y - top + edge)
        * _fabric.soft(bottom - canvas.y + edge)
        * _fabric.soft(1.0 - np.abs(canvas.x) + edge)
    )
    alpha = alpha * np.clip((lips - 0.8) * 3, 0, 1) * rng.uniform(0.6, 0.97)
    hair = rng.normal(0, 18, canvas.x.shape).astype(np.float32)[..., None]
    return tone * canvas.light[..., None] + hair, alpha


def _paper(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Make a sheet, a phone or a cup that hides a corner of the lower face."""
    angle = rng.uniform(-0.6, 0.6)
    x, y = canvas.x - rng.choice((-1, 1)) * rng.uniform(0.4, 1.1), canvas.y - canvas.mouth - rng.uniform(0.0, 0.7)
    across, along = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    half_width, half_height = rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.9)
    alpha = canvas.between(across, -half_width, half_width) * canvas.between(along, -half_height, half_height)
    if rng.random() < 0.6:
        tone = vector(1, 1, rng.uniform(0.9, 1)) * rng.uniform(200, 250)
        lines = (np.sin(along * rng.uniform(25, 60)) > 0.5) & (np.abs(across) < 0.8 * half_width)
        colour = tone * (1 - rng.uniform(0.1, 0.6) * lines)[..., None]
    else:
        colour = np.broadcast_to(_fabric.choose_colour(rng), (*x.shape, 3))
    return _fabric.shade(canvas, colour.astype(np.float32), rng), alpha


def _strap(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Make a strap or a collar at the lower edge of the face."""
    side, slope = rng.choice((-1, 1)), rng.uniform(0.3, 2.0)
    line = canvas.chin + rng.uniform(-0.15, 0.3) - slope * np.clip(side * canvas.x - rng.uniform(-0.2, 0.6), 0, 2)
    line = np.maximum(line, canvas.mouth - 0.3 + 2.5 * np.clip(0.8 - side * canvas.x, 0, 1))
    width = rng.uniform(0.2, 1.5)
    return _fabric.shade(canvas, _fabric.weave(canvas, rng), rng), canvas.between(canvas.y, line, line + width)


_PAINTERS = {
    "hand": _hand,
    "scarf": _scarf,
    "beard": _beard,
    "paper": _paper,
    "strap": _strap,
    "hood": _before.hood,
    "helmet": _before.helmet,
    "microphone": _before.microphone,
    "fist": _before.fist,
    "head": _before.head,
}
