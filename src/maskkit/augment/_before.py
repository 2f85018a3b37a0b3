"""What comes between a camera and the face: headgear, a microphone, a hand laid over the mouth, another's head."""

import numpy as np

from maskkit.augment import _fabric
from maskkit.augment._canvas import Canvas, Plane
from maskkit.augment._landmarks import vector


def hood(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Lay cloth around the face: over the forehead, down the sides, closed under the chin or not."""
    forehead = rng.uniform(-1.1, -0.45)
    middle = (forehead + canvas.chin + rng.uniform(0.0, 0.3)) / 2
    half_height = canvas.chin + 0.15 - middle + rng.uniform(0.0, 0.25)
    half_width = rng.uniform(0.85, 1.15)
    wave = 0.03 * _fabric.soft_noise(canvas, rng, 6)
    distance = np.hypot(canvas.x / half_width, (canvas.y - middle) / half_height) + wave
    alpha = np.clip((distance - 1) / 0.05 + 0.5, 0, 1)
    outer = np.hypot(
        canvas.x / (half_width + rng.uniform(0.35, 0.9)), (canvas.y - middle) / (half_height + rng.uniform(0.4, 1.0))
    )
    alpha = alpha * np.where(canvas.y > middle, 1.0, np.clip((1 - outer) / 0.05 + 0.5, 0, 1))
    if rng.random() < 0.35:
        alpha = alpha * _fabric.soft(canvas.mouth + rng.uniform(0.0, 0.8) - canvas.y)  # open below
    folds = 1 + 0.15 * np.sin(rng.uniform(4, 12) * (distance + rng.uniform(-0.3, 0.3) * canvas.x))
    inner = 1 - rng.uniform(0.1, 0.5) * np.exp(-(((distance - 1) / 0.12) ** 2))
    return _fabric.shade(canvas, _fabric.weave(canvas, rng) * (folds * inner)[..., None], rng, roughness=5), alpha


def microphone(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Make a round head before the mouth or under it, and its handle."""
    side = rng.uniform(-0.7, 0.7)
    cx, cy = side * 0.6, canvas.mouth + rng.uniform(-0.05, 0.6)
    x, y = canvas.x * 1.08 - cx, canvas.y - cy
    size = rng.uniform(0.15, 0.42)
    distance = np.hypot(x, y)
    ball = canvas.between(-distance, -size, 9.0)
    angle = rng.uniform(-1.0, 1.0) + 0.8 * side
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    stick = canvas.between(np.abs(across), -9.0, size * rng.uniform(0.35, 0.7)) * canvas.between(along, 0.0, 99.0)
    tone = (
        vector(1, 1, 1) * rng.choice([rng.uniform(10, 60), rng.uniform(90, 180)])
        if rng.random() < 0.75
        else _fabric.choose_colour(rng)
    )
    light = 1.25 - 0.6 * np.clip(distance / size, 0, 1) ** 2
    grid = 1 + 0.15 * np.sin(60 * x) * np.sin(60 * y)
    colour = np.where((ball > 0.5)[..., None], tone * (light * grid)[..., None], tone * 0.8)
    alpha = np.maximum(ball, stick)
    if rng.random() < 0.4:  # the hand that holds it
        fist = np.hypot(across / 0.45, (along - size - rng.uniform(0.4, 0.8)) / 0.35)
        inside = canvas.between(-fist, -1.0, 9.0)
        creases = 1 - 0.25 * (np.sin(18 * along) > 0.8)
        colour = np.where(
            (inside > 0.5)[..., None], _fabric.skin(canvas) * rng.uniform(0.8, 1.15) * creases[..., None], colour
        )
        alpha = np.maximum(alpha, inside)
    return _fabric.shade(canvas, colour.astype(np.float32), rng), alpha


def fist(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Lay a hand over mouth and chin, fingers across."""
    cx, cy = rng.uniform(-0.4, 0.4), canvas.mouth + rng.uniform(-0.1, 0.35)
    angle = rng.uniform(-1.2, 1.2)
    x, y = canvas.x * 1.08 - cx, canvas.y - cy
    along, across = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    half_length, half_width = rng.uniform(0.45, 0.9), rng.uniform(0.3, 0.55)
    shape = (np.abs(along) / half_length) ** 3 + (np.abs(across) / half_width) ** 3
    alpha = np.clip((1 - shape) / 0.12 + 0.5, 0, 1)
    arm = canvas.between(np.abs(along + rng.uniform(-0.2, 0.2)), -9.0, half_width * 0.8) * canvas.between(
        across * rng.choice((-1, 1)), 0.0, 99.0
    )
    alpha = np.maximum(alpha, arm * (canvas.y > canvas.mouth - 0.2))
    n = rng.integers(3, 5)
    phase = (across / half_width + 1) / 2 * n
    creases = 1 - rng.uniform(0.15, 0.4) * np.exp(-(((phase - np.round(phase)) / 0.12) ** 2)) * (shape < 1)
    return _fabric.shade(canvas, _fabric.skin(canvas) * rng.uniform(0.75, 1.15) * creases[..., None], rng), alpha


def helmet(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Make a hard shell over forehead and sides with a strap to the chin."""
    brim = rng.uniform(-0.9, -0.3) + rng.uniform(-0.1, 0.25) * np.clip(np.abs(canvas.x), 0, 1.4) ** 2
    shell = canvas.between(canvas.y, -99.0, brim) * np.clip((1.5 - np.abs(canvas.x)) / 0.05, 0, 1)
    gloss = 1.1 - 0.4 * np.abs(canvas.x - rng.uniform(-0.5, 0.5))
    tone = _fabric.choose_colour(rng) * gloss[..., None]
    edge = rng.uniform(0.75, 1.0)
    width = rng.uniform(0.05, 0.12)
    line = edge * np.clip(1 - np.clip(canvas.y / (canvas.chin + 0.05), 0, 9) ** rng.uniform(2, 4), 0, 1)
    strap = canvas.between(np.abs(canvas.x), line - width, line + width) * canvas.between(
        canvas.y, brim, canvas.chin + 0.1
    )
    under = canvas.between(canvas.y, canvas.chin - width, canvas.chin + width) * canvas.between(
        np.abs(canvas.x), -9.0, 0.4
    )
    strap = np.maximum(strap, under)
    dark = vector(1, 1, 1) * rng.uniform(15, 120)
    colour = np.where((shell > 0.5)[..., None], tone, dark)
    return _fabric.shade(canvas, colour.astype(np.float32), rng), np.maximum(shell, strap)


def head(canvas: Canvas, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Make the top of another head, nearer to the camera, before a part of the lower face."""
    top = canvas.mouth + rng.uniform(-0.45, 0.5)
    half_width, half_height = rng.uniform(0.8, 1.6), rng.uniform(1.0, 1.8)
    cx = rng.uniform(-0.9, 0.9)
    x, y = canvas.x * 1.08 - cx, canvas.y - top - half_height
    radius = np.hypot(x / half_width, y / half_height) + 0.02 * _fabric.soft_noise(canvas, rng, 20)
    alpha = np.clip((1 - radius) / 0.06 + 0.5, 0, 1)
    if rng.random() < 0.75:  # hair
        grey = rng.uniform(10, 70) if rng.random() < 0.8 else rng.uniform(90, 200)
        tone = vector(grey, grey, grey) * vector(1.0, rng.uniform(0.75, 1.0), rng.uniform(0.6, 1.0))
        strands = 1 + 0.1 * np.sin(
            rng.uniform(20, 60) * np.arctan2(x, np.abs(y) + 0.3) + 3 * _fabric.soft_noise(canvas, rng, 10)
        )
        gloss = 1 + rng.uniform(0.0, 0.8) * np.exp(-(((radius - rng.uniform(0.5, 0.8)) / 0.15) ** 2))
        colour = tone * (strands * gloss)[..., None]
        face = rng.uniform(0.5, 1.4)
        if rng.random() < 0.5:  # seen from the front: its forehead
            inside = np.clip((0.8 - np.hypot(x / half_width, (y + half_height - face - 0.6) / 0.8)) / 0.06 + 0.5, 0, 1)
            colour = colour + inside[..., None] * (_fabric.skin(canvas) * rng.uniform(0.7, 1.2) - colour)
    else:
        colour = _fabric.weave(canvas, rng) * (1.2 - 0.5 * np.clip(radius, 0, 1) ** 2)[..., None]
    return _fabric.shade(canvas, colour.astype(np.float32), rng, roughness=5), alpha
