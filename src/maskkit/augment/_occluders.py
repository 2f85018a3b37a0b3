"""Things before a face that are no masks."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images.load import RgbImage
from maskkit.augment import _held, _worn
from maskkit.augment._canvas import Canvas

_PAINTERS = {
    "hand": _held.hand,
    "scarf": _worn.scarf,
    "beard": _worn.beard,
    "paper": _held.paper,
    "strap": _worn.strap,
    "hood": _worn.hood,
    "helmet": _worn.helmet,
    "microphone": _held.microphone,
    "fist": _held.fist,
    "head": _held.head,
}

OCCLUDERS = tuple(_PAINTERS)

# What is before masked faces as well, and leaves what it does not hide to be seen.
OVER_MASKS = ("hand", "paper", "strap", "hood", "helmet", "microphone", "fist", "head")


def paint_occluder(
    image: RgbImage, landmarks: ArrayLike | None = None, *, kind: str | None = None, random_state: Any = None
) -> RgbImage:
    """Paint something that is no mask before a face.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
        RGB, upright, of any size.
    landmarks : array-like of shape (5, 2), optional
        As in `paint_mask`.
    kind : one of `OCCLUDERS`, optional
        ``"hand"``, ``"scarf"``, ``"beard"``, ``"paper"``, ``"strap"``, ``"hood"``, ``"helmet"``,
        ``"microphone"``, ``"fist"`` or somebody else's ``"head"``; by default one of them at random. A
        scarf lies under the lower lip: higher up nobody could say that it is no mask.
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
