"""Objects in front of faces that are not masks."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images.load import RgbImage
from maskkit.augment._canvas import Canvas
from maskkit.augment._handheld import fist, hand, head, microphone, paper
from maskkit.augment._wearables import beard, helmet, hood, scarf, shield, strap

# The order counts: random kinds are drawn by their position.
_PAINTERS = {
    painter.__name__: painter
    for painter in (hand, scarf, beard, paper, strap, hood, helmet, microphone, fist, head, shield)
}

OCCLUDERS = tuple(_PAINTERS)

# Objects that are painted on masked faces in training, too: they leave most of the mask visible.
OVER_MASKS = ("hand", "paper", "strap", "hood", "helmet", "microphone", "fist", "head", "shield")

# Objects that `evaluate_robustness` paints on every face, except that a beard, which would hide a mask, is painted on
# unmasked faces only.
EVALUATED = ("hand", "scarf", "beard", "paper", "helmet", "microphone", "shield")


def paint_occluder(
    image: RgbImage, landmarks: ArrayLike | None = None, *, kind: str | None = None, random_state: Any = None
) -> RgbImage:
    """Paint an object that is not a mask in front of a face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        RGB, upright, of any size.
    landmarks : array-like of shape (5, 2), optional
        Landmarks, as in `paint_mask`.
    kind : one of `OCCLUDERS`, optional
        ``"hand"``, ``"scarf"``, ``"beard"``, ``"paper"``, ``"strap"``, ``"hood"``, ``"helmet"``,
        ``"microphone"``, ``"fist"``, another person's ``"head"`` or a transparent face ``"shield"``. By default one
        of them at random. A scarf ends below the lower lip; higher up it would look like a mask.
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
    color, alpha = _PAINTERS[kind](canvas, rng)
    return canvas.blend(color, alpha, shadow=0.0 if kind in ("beard", "shield") else rng.uniform(0.1, 0.5))
