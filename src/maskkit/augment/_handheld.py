"""Occluders in front of a face: hand, fist, paper, microphone and another person's head."""

from typing import Any

import numpy as np

from maskkit.augment import _fabric
from maskkit.augment._canvas import HALF_WIDTH, Canvas, Plane, turn
from maskkit.augment._landmarks import vector


def hand(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint fingers in front of mouth and chin."""
    angle = rng.uniform(-0.7, 0.7)
    center = rng.uniform(-0.5, 0.5), canvas.mouth + rng.uniform(-0.1, 0.4)
    across, along = turn(canvas.x * HALF_WIDTH - center[0], canvas.y - center[1], angle)
    alpha, shading = np.zeros_like(across), np.ones_like(across)
    n_fingers, width = rng.integers(2, 5), rng.uniform(0.16, 0.24)
    for finger in range(n_fingers):
        place = (finger - (n_fingers - 1) / 2) * 2 * width
        tip = -rng.uniform(0.25, 0.6)
        # Beyond the tip the distance is that to its center, which rounds the finger off.
        distance = np.hypot(across - place, np.minimum(along - tip, 0))
        inside = canvas.between(distance, high=width)
        alpha = np.maximum(alpha, inside)
        shading = np.where(inside > 0.5, 1.05 - 0.3 * np.clip(distance / width, 0, 1) ** 3, shading)
    tone = _fabric.skin(canvas) * rng.uniform(0.8, 1.15)
    return _fabric.shade(canvas, tone * shading[..., None], rng), alpha


def fist(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a fist over mouth and chin, with the fingers across."""
    center = rng.uniform(-0.4, 0.4), canvas.mouth + rng.uniform(-0.1, 0.35)
    angle = rng.uniform(-1.2, 1.2)
    along, across = turn(canvas.x * HALF_WIDTH - center[0], canvas.y - center[1], angle)
    half_length, half_width = rng.uniform(0.45, 0.9), rng.uniform(0.3, 0.55)
    # A superellipse of exponent 3 gives the rounded rectangle of a fist seen from the back.
    shape = (np.abs(along) / half_length) ** 3 + (np.abs(across) / half_width) ** 3
    alpha = _fabric.soft_edge(1 - shape, 0.12)
    arm = canvas.between(np.abs(along + rng.uniform(-0.2, 0.2)), high=half_width * 0.8)
    arm = arm * canvas.between(across * rng.choice((-1, 1)), low=0.0)
    alpha = np.maximum(alpha, arm * (canvas.y > canvas.mouth - 0.2))
    n_creases: Any = rng.integers(3, 5)
    phase = (across / half_width + 1) / 2 * n_creases
    creases = 1 - rng.uniform(0.15, 0.4) * np.exp(-(((phase - np.round(phase)) / 0.12) ** 2)) * (shape < 1)
    return _fabric.shade(canvas, _fabric.skin(canvas) * rng.uniform(0.75, 1.15) * creases[..., None], rng), alpha


def paper(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a sheet, a phone or a cup that hides a corner of the lower face."""
    angle = rng.uniform(-0.6, 0.6)
    x, y = canvas.x - rng.choice((-1, 1)) * rng.uniform(0.4, 1.1), canvas.y - canvas.mouth - rng.uniform(0.0, 0.7)
    across, along = turn(x, y, angle)
    half_width, half_height = rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.9)
    alpha = canvas.between(across, -half_width, half_width) * canvas.between(along, -half_height, half_height)
    if rng.random() < 0.6:
        tone = vector(1, 1, rng.uniform(0.9, 1)) * rng.uniform(200, 250)
        lines = (np.sin(along * rng.uniform(25, 60)) > 0.5) & (np.abs(across) < 0.8 * half_width)
        color = tone * (1 - rng.uniform(0.1, 0.6) * lines)[..., None]
    else:
        color = _fabric.choose_color(rng)
    return _fabric.shade(canvas, color.astype(np.float32), rng), alpha


def microphone(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a microphone in front of or below the mouth, with its handle."""
    side = rng.uniform(-0.7, 0.7)
    x, y = canvas.x * HALF_WIDTH - 0.6 * side, canvas.y - canvas.mouth - rng.uniform(-0.05, 0.6)
    size = rng.uniform(0.15, 0.42)
    distance = np.hypot(x, y)
    ball = canvas.between(distance, high=size)
    angle = rng.uniform(-1.0, 1.0) + 0.8 * side
    across, along = turn(x, y, -angle)
    stick = canvas.between(np.abs(across), high=size * rng.uniform(0.35, 0.7)) * canvas.between(along, low=0.0)
    tone = (
        vector(1, 1, 1) * rng.choice([rng.uniform(10, 60), rng.uniform(90, 180)])
        if rng.random() < 0.75
        else _fabric.choose_color(rng)
    )
    light = 1.25 - 0.6 * np.clip(distance / size, 0, 1) ** 2
    grid = 1 + 0.15 * np.sin(60 * x) * np.sin(60 * y)
    color = np.where((ball > 0.5)[..., None], tone * (light * grid)[..., None], tone * 0.8)
    alpha = np.maximum(ball, stick)
    if rng.random() < 0.4:  # the hand that holds it
        holding = np.hypot(across / 0.45, (along - size - rng.uniform(0.4, 0.8)) / 0.35)
        inside = canvas.between(holding, high=1.0)
        creases = 1 - 0.25 * (np.sin(18 * along) > 0.8)
        skin = _fabric.skin(canvas) * rng.uniform(0.8, 1.15) * creases[..., None]
        color = np.where((inside > 0.5)[..., None], skin, color)
        alpha = np.maximum(alpha, inside)
    return _fabric.shade(canvas, color.astype(np.float32), rng), alpha


def head(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint the top of another person's head in front of a part of the lower face."""
    top = canvas.mouth + rng.uniform(-0.45, 0.5)
    half_width, half_height = rng.uniform(0.8, 1.6), rng.uniform(1.0, 1.8)
    x, y = canvas.x * HALF_WIDTH - rng.uniform(-0.9, 0.9), canvas.y - top - half_height
    radius = np.hypot(x / half_width, y / half_height) + 0.02 * _fabric.soft_noise(canvas, rng, 20)
    alpha = _fabric.soft_edge(1 - radius, 0.06)
    if rng.random() < 0.75:  # hair
        gray = rng.uniform(10, 70) if rng.random() < 0.8 else rng.uniform(90, 200)
        tone = vector(gray, gray, gray) * vector(1.0, rng.uniform(0.75, 1.0), rng.uniform(0.6, 1.0))
        strands = 1 + 0.1 * np.sin(
            rng.uniform(20, 60) * np.arctan2(x, np.abs(y) + 0.3) + 3 * _fabric.soft_noise(canvas, rng, 10)
        )
        gloss = 1 + rng.uniform(0.0, 0.8) * np.exp(-(((radius - rng.uniform(0.5, 0.8)) / 0.15) ** 2))
        color = tone * (strands * gloss)[..., None]
        face = rng.uniform(0.5, 1.4)
        if rng.random() < 0.5:  # seen from the front: its forehead
            inside = _fabric.soft_edge(0.8 - np.hypot(x / half_width, (y + half_height - face - 0.6) / 0.8), 0.06)
            color = color + inside[..., None] * (_fabric.skin(canvas) * rng.uniform(0.7, 1.2) - color)
    else:
        color = _fabric.weave(canvas, rng) * (1.2 - 0.5 * np.clip(radius, 0, 1) ** 2)[..., None]
    return _fabric.shade(canvas, color.astype(np.float32), rng, roughness=5), alpha
