"""Random training views: windows of scaled, blurred, darkened and turned pictures, and their target maps."""

import io
import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch.utils.data import IterableDataset, get_worker_info

from benchmarks.detector.labels import Array, Example
from maskkit._images.load import load_image
from maskkit.augment import paint_mask
from maskkit.detectors._network import CELL_PX

SIDE_PX = 384

# A face of another size, or of which less is visible, is neither learned nor held against the network.
_MIN_FACE_PX, _MAX_FACE_PX, _MIN_VISIBLE = 5, 520, 0.45
_MASKS = ("surgical", "cloth", "respirator")
# Windows per side of a view and the sizes of their faces, in pixels. Small faces need less room, so there are more.
_LAYOUTS = ((1, (24, 420)), (2, (12, 120)), (4, (6.5, 40)))
_LAYOUT_SHARES = (0.6, 0.27, 0.13)


@dataclass(slots=True)
class View:
    """Pixels (side, side, 3), 0 to 255, with the faces and ignored boxes in them."""

    pixels: Array
    boxes: Array
    landmarks: Array
    ignored: Array


class Views(IterableDataset[tuple[Array, ...]]):
    """Endless random views with their target maps.

    Parameters
    ----------
    groups : sequence of sequences of Example
        Photos, more photos, and face crops.
    shares : sequence of float
        How often each group is drawn.
    are_crops : sequence of bool
        Whether each group holds face crops.
    faceless, textures : float
        Share of views that show a part of a photo without a face, and of those that show a drawn texture.
    peak : float
        Standard deviation of a face's peak in the heat map, as a share of the face.
    seed : sequence of int
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Example]],
        shares: Sequence[float],
        are_crops: Sequence[bool],
        *,
        faceless: float,
        textures: float,
        peak: float,
        seed: Sequence[int],
    ):
        self.groups = [list(group) for group in groups]
        self.shares = np.array(shares) / sum(shares)
        self.are_crops = list(are_crops)
        self.faceless = faceless
        self.textures = textures
        self.peak = peak
        self.seed = seed
        self._images: dict[str, NDArray[np.uint8]] = {}

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        worker = get_worker_info()
        rng = np.random.default_rng((*self.seed, worker.id if worker else 0))
        while True:
            yield (view := self.draw(rng)).pixels.transpose(2, 0, 1).copy(), *make_targets(view, self.peak)

    def draw(self, rng: np.random.Generator) -> View:
        """Draw a view: one window, or a mosaic of small ones, or a texture without a face."""
        kind = rng.random()
        if kind < self.textures:
            view = _draw_texture(rng)
        elif kind < self.textures + self.faceless:
            view = self._faceless_window(rng)
        else:
            n, sizes_px = _LAYOUTS[rng.choice(len(_LAYOUTS), p=_LAYOUT_SHARES)]
            view = _mosaic([self._window(rng, SIDE_PX // n, sizes_px) for _ in range(n * n)], n)
            if rng.random() < 0.2:
                view = _rotate(view, rng.uniform(-30, 30))
        return _mirror(view) if rng.random() < 0.5 else view

    def _window(self, rng: np.random.Generator, side: int, sizes_px: tuple[float, float]) -> View:
        """Cut a window around a random face, scaled to a random size."""
        group = int(rng.choice(len(self.groups), p=self.shares))
        example = self.groups[group][rng.integers(len(self.groups[group]))]
        image = self._load(example)
        row = int(rng.integers(len(example.boxes))) if len(example.boxes) else -1
        if row >= 0 and example.is_unmasked[row] and np.isfinite(example.landmarks[row]).all() and rng.random() < 0.35:
            kind = _MASKS[rng.integers(len(_MASKS))]
            image = paint_mask(image, example.landmarks[row], kind=kind, random_state=int(rng.integers(2**31)))
        height, width = image.shape[:2]
        box = example.boxes[row] if row >= 0 else np.float32([0, 0, min(40, width), min(40, height)])
        face = max(float((box[2:] - box[:2]).max()), 2.0)
        scale = _draw_scale(rng, face, max(height, width), sizes_px, is_crop=self.are_crops[group])
        shape = max(8, round(height * scale)), max(8, round(width * scale))
        center = (box[1] + box[3]) / 2 * scale, (box[0] + box[2]) / 2 * scale
        around = rng.random() < (0.6 if side == SIDE_PX else 0.95)
        start = [
            _start_with_face(rng, n, c, face * scale, side) if around else _random_start(rng, n, side)
            for n, c in zip(shape, center, strict=True)
        ]
        top, left = start
        pixels = _cut(rng, image, scale, (top, left), shape, side)
        offset = np.float32([left, top])
        return View(
            pixels,
            example.boxes * np.float32(scale) - np.tile(offset, 2),
            example.landmarks * np.float32(scale) - offset,
            example.ignored * np.float32(scale) - np.tile(offset, 2),
        )

    def _faceless_window(self, rng: np.random.Generator) -> View:
        """Cut a window without a face out of a photo, at any scale; a texture if many attempts hit faces."""
        photos = [group for group, is_crop in zip(self.groups, self.are_crops, strict=True) if not is_crop]
        for _ in range(40):
            group = photos[rng.integers(len(photos))]
            example = group[rng.integers(len(group))]
            height, width = self._load(example).shape[:2]
            scale = math.exp(rng.uniform(math.log(0.8), math.log(5)))
            shape = max(8, round(height * scale)), max(8, round(width * scale))
            top, left = (_random_start(rng, n, SIDE_PX) for n in shape)
            corners = np.concatenate([example.boxes, example.ignored]) * np.float32(scale) - np.float32([left, top] * 2)
            if ((corners[:, :2] < SIDE_PX) & (corners[:, 2:] > 0)).all(axis=1).any():
                continue
            pixels = _cut(rng, self._load(example), scale, (top, left), shape, SIDE_PX)
            return View(pixels, *_no_faces())
        return _draw_texture(rng)

    def _load(self, example: Example) -> NDArray[np.uint8]:
        key = str(example.source)
        if key not in self._images:
            self._images[key] = load_image(example.source)
        return self._images[key]


def _draw_scale(
    rng: np.random.Generator, face: float, long_side: int, sizes_px: tuple[float, float], *, is_crop: bool
) -> float:
    """Draw a scale at which the face has a size between two, as often in each octave."""
    is_whole = sizes_px == _LAYOUTS[0][1]
    if is_whole and is_crop:  # mostly the small scale, at which a crop's face fills the picture
        return float(rng.uniform(140, 330) if rng.random() < 0.75 else rng.uniform(330, 800)) / long_side
    if is_whole and rng.random() < 0.3:  # the scales at which photos are searched
        return float(rng.choice([640, 800, 1200])) / long_side
    return min(math.exp(rng.uniform(*np.log(sizes_px))) / face, 3.0)


def _start_with_face(rng: np.random.Generator, n_pixels: int, center: float, face: float, side: int) -> int:
    """Draw where a window that holds the face starts along one axis."""
    if n_pixels <= side:
        return _random_start(rng, n_pixels, side)
    half = min(face / 2, side / 2)
    start = rng.uniform(*sorted((center + half - side, center - half)))
    return int(np.clip(start, 0, n_pixels - side))


def _random_start(rng: np.random.Generator, n_pixels: int, side: int) -> int:
    """Draw where a window starts along one axis; a short picture is placed within it."""
    if n_pixels <= side:
        return -int(rng.integers(0, side - n_pixels + 1)) if rng.random() < 0.5 else 0
    return int(rng.integers(0, n_pixels - side + 1))


def _cut(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    scale: float,
    start: tuple[int, int],
    shape: tuple[int, int],
    side: int,
) -> Array:
    """Scale a window and make it look like pictures of other cameras; what lies outside the picture is of one color."""
    top, left = (max(0, n) for n in start)
    bottom, right = (min(n, begin + side) for n, begin in zip(shape, start, strict=True))
    source = (left / scale, top / scale, min(right / scale, image.shape[1]), min(bottom / scale, image.shape[0]))
    size = right - left, bottom - top
    filters = Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC
    window = Image.fromarray(image).resize(size, filters[rng.integers(3)], box=source)
    if rng.random() < 0.25 and min(size) > 16:
        blur = math.exp(rng.uniform(math.log(0.3), 0))
        small = window.resize((max(8, round(size[0] * blur)), max(8, round(size[1] * blur))), filters[0])
        window = small.resize(size, filters[0])
    if rng.random() < 0.35:
        buffer = io.BytesIO()
        window.save(buffer, "JPEG", quality=int(rng.integers(25, 95)))
        window = Image.open(buffer).convert("RGB")
    pixels = np.asarray(window).astype(np.float32)
    if rng.random() < 0.4:
        pixels = 255 * (pixels / 255) ** math.exp(rng.uniform(-0.6, 0.8))
    if rng.random() < 0.3:
        pixels = pixels * rng.uniform(0.5, 1.2) + rng.uniform(-15, 15)
    if rng.random() < 0.05:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    # Detection pads with black.
    canvas = np.full((side, side, 3), 0 if rng.random() < 0.7 else rng.uniform(0, 255), np.float32)
    y, x = (max(0, -n) for n in start)
    canvas[y : y + size[1], x : x + size[0]] = pixels.clip(0, 255)
    return canvas


def _mosaic(parts: Sequence[View], n: int) -> View:
    """Join n x n windows; of several, faces whose centers lie outside their window are ignored."""
    if n == 1:
        return parts[0]
    side = SIDE_PX // n
    pixels = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
    boxes, landmarks, ignored = [], [], []
    for index, part in enumerate(parts):
        x, y = index % n * side, index // n * side
        offset = np.float32([x, y])
        pixels[y : y + side, x : x + side] = part.pixels
        centers = (part.boxes[:, :2] + part.boxes[:, 2:]) / 2
        inside = ((centers >= 0) & (centers < side)).all(axis=1)
        points = part.landmarks[inside]
        cut = ((points < 0) | (points > side)).any(axis=(1, 2), keepdims=True)
        boxes.append(part.boxes[inside].clip(0, side) + np.tile(offset, 2))
        landmarks.append(np.where(cut, np.nan, points) + offset)
        ignored.append(np.concatenate([part.ignored, part.boxes[~inside]]).clip(0, side) + np.tile(offset, 2))
    return View(pixels, np.concatenate(boxes), np.concatenate(landmarks), np.concatenate(ignored))


def _draw_texture(rng: np.random.Generator) -> View:
    """Draw a picture without a face."""
    draw = (_draw_grains, _draw_waves, _draw_disks, _draw_text, _draw_lights, _draw_gradients)[rng.integers(6)]
    image = draw(rng)
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
    return View(np.asarray(image, np.float32), *_no_faces())


def _plain(rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(rng.integers(0, 256, 3).tolist()))


def _draw_grains(rng: np.random.Generator) -> Image.Image:
    n = int(rng.integers(4, SIDE_PX))
    n_channels = int(rng.choice([1, 3]))
    grains = np.broadcast_to(rng.uniform(0, 255, (n, n, n_channels)), (n, n, 3))
    return Image.fromarray(grains.astype(np.uint8)).resize((SIDE_PX, SIDE_PX))


def _draw_waves(rng: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    waves = [np.sin(x * rng.normal(0, 0.3) + y * rng.normal(0, 0.3) + rng.uniform(0, 7)) for _ in range(6)]
    colors = 127 + 60 * np.einsum("nyx,nc->yxc", waves, rng.uniform(-1, 1, (6, 3)))
    return Image.fromarray(colors.clip(0, 255).astype(np.uint8))


def _draw_disks(rng: np.random.Generator) -> Image.Image:
    image = _plain(rng)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 200))):
        radius = math.exp(rng.uniform(math.log(2), math.log(120)))
        x, y = rng.uniform(0, SIDE_PX, 2)
        shade = rng.integers(0, 256, 3) if rng.random() < 0.5 else rng.integers(0, 256, 1).repeat(3)
        height = radius * rng.uniform(0.7, 1.3)
        draw.ellipse((x - radius, y - height, x + radius, y + height), fill=tuple(shade.tolist()))
    return image


def _draw_text(rng: np.random.Generator) -> Image.Image:
    image = _plain(rng)
    draw = ImageDraw.Draw(image)
    letters = np.array(list(string.ascii_letters + string.digits + "   ..,-"))
    size = float(rng.uniform(7, 40))
    for y in np.arange(0, SIDE_PX, size * 1.3):
        text = "".join(rng.choice(letters, 120))
        draw.text((rng.uniform(-20, 0), y), text, fill=tuple(rng.integers(0, 256, 3).tolist()), font_size=size)
    return image


def _draw_lights(rng: np.random.Generator) -> Image.Image:
    """Draw blurred bright spots on a dark ground."""
    light = np.zeros((SIDE_PX, SIDE_PX, 3))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for _ in range(int(rng.integers(5, 60))):
        height, width = np.exp(rng.uniform(math.log(0.8), math.log(12), 2))
        cy, cx = rng.uniform(0, SIDE_PX, 2)
        spot = np.exp(-(((y - cy) / height) ** 2 + ((x - cx) / width) ** 2) / 2)
        light += spot[..., None] * rng.uniform(60, 255) * (1 - rng.uniform(0, 0.5, 3))
    return Image.fromarray((light + rng.normal(10, 6, light.shape)).clip(0, 255).astype(np.uint8))


def _draw_gradients(rng: np.random.Generator) -> Image.Image:
    """Draw ellipses and rectangles whose color changes with angle, distance or place."""
    pixels = np.asarray(_plain(rng), np.float64).copy()
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for _ in range(int(rng.integers(1, 5))):
        (cy, cx), (height, width) = rng.uniform(60, SIDE_PX - 60, 2), rng.uniform(20, 200, 2)
        dy, dx = (y - cy) / height, (x - cx) / width
        distance = np.hypot(dy, dx)
        inside = (distance < 1) if rng.random() < 0.7 else (np.maximum(abs(dy), abs(dx)) < 1)
        along = (np.arctan2(dy, dx), 3 * distance, 2 * dx + dy)[rng.integers(3)]
        for channel in range(3):
            wave = np.sin(along * rng.integers(1, 3) + rng.uniform(0, 7)) * rng.uniform(20, 127)
            pixels[..., channel][inside] = (rng.uniform(60, 190) + wave)[inside]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _no_faces() -> tuple[Array, Array, Array]:
    return np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros((0, 4), np.float32)


def _rotate(view: View, degrees: float) -> View:
    """Turn a view about its center; boxes keep their size, since a turned face is about as wide and high."""
    # A face beyond the edge would be turned into the black corner.
    centers = (view.boxes[:, :2] + view.boxes[:, 2:]) / 2
    inside = ((centers >= 0) & (centers < SIDE_PX)).all(axis=1)
    ignored = np.concatenate([view.ignored, view.boxes[~inside].clip(0, SIDE_PX)])
    image = Image.fromarray(view.pixels.astype(np.uint8)).rotate(degrees, Image.Resampling.BILINEAR)
    angle = math.radians(degrees)
    turn = np.float32([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.float32(SIDE_PX / 2)

    def turned(points: Array) -> Array:
        return (points - middle) @ turn + middle

    def moved(boxes: Array) -> Array:
        halves = (boxes[:, 2:] - boxes[:, :2]) / 2
        centers = turned((boxes[:, :2] + boxes[:, 2:]) / 2)
        return np.concatenate([centers - halves, centers + halves], axis=1)

    return View(
        np.asarray(image, np.float32), moved(view.boxes[inside]), turned(view.landmarks[inside]), moved(ignored)
    )


def _mirror(view: View) -> View:
    def mirrored(boxes: Array) -> Array:
        return np.stack([SIDE_PX - boxes[:, 2], boxes[:, 1], SIDE_PX - boxes[:, 0], boxes[:, 3]], axis=1)

    landmarks = view.landmarks[:, [1, 0, 2, 4, 3]] * np.float32([-1, 1]) + np.float32([SIDE_PX, 0])
    return View(view.pixels[:, ::-1], mirrored(view.boxes), landmarks, mirrored(view.ignored))


def make_targets(view: View, peak: float) -> tuple[Array, ...]:
    """Return the target maps: heat, its weights, sizes, offsets, landmarks, and weights of boxes and of landmarks."""
    n = SIDE_PX // CELL_PX
    heat, sizes, offsets, points, box_weights, point_weights = (
        np.zeros(shape, np.float32) for shape in ((n, n), (2, n, n), (2, n, n), (10, n, n), (n, n), (n, n))
    )
    weights = np.ones((n, n), np.float32)
    for box in view.ignored:
        weights[_cells(box, n)] = 0
    areas = (view.boxes[:, 2:] - view.boxes[:, :2]).prod(axis=1)
    for row in np.argsort(-areas):  # small faces last, because they must not vanish behind large ones
        box = view.boxes[row]
        if not _is_learned(box):
            # Its pieces are no faces, but whether its center is one at this scale stays open.
            center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            is_huge = size.max() > _MAX_FACE_PX
            weights[_cells(np.concatenate([center - size * 0.12, center + size * 0.12]) if is_huge else box, n)] = 0
            continue
        (x0, y0, x1, y1), (width, height) = box, box[2:] - box[:2]
        column, line = int((x0 + x1) / 2 / CELL_PX), int((y0 + y1) / 2 / CELL_PX)
        _draw_peak(heat, line, column, max(0.45, peak * math.sqrt(width * height) / CELL_PX))
        weights[line, column] = 1
        reach = 1 if max(width, height) > 24 else 0
        for y in range(max(0, line - reach), min(n, line + reach + 1)):
            for x in range(max(0, column - reach), min(n, column + reach + 1)):
                box_weights[y, x] = 1 if (y, x) == (line, column) else 0.3
                sizes[:, y, x] = math.log(max(height, 1) / CELL_PX), math.log(max(width, 1) / CELL_PX)
                offsets[:, y, x] = (y0 + y1) / 2 / CELL_PX - y - 0.5, (x0 + x1) / 2 / CELL_PX - x - 0.5
                if np.isfinite(view.landmarks[row]).all():
                    relative = (view.landmarks[row] - box[:2]) / np.maximum([width, height], 1)
                    points[:, y, x] = relative[:, ::-1].reshape(-1)
                    point_weights[y, x] = box_weights[y, x]
    return heat, weights, sizes, offsets, points, box_weights, point_weights


def _is_learned(box: Array) -> bool:
    size, center = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    visible = (box[2:].clip(0, SIDE_PX) - box[:2].clip(0, SIDE_PX)).prod() / max(float(size.prod()), 1e-6)
    is_inside = bool(((center >= 0) & (center < SIDE_PX)).all())
    return is_inside and visible >= _MIN_VISIBLE and _MIN_FACE_PX <= size.max() <= _MAX_FACE_PX


def _cells(box: Array, n: int) -> tuple[slice, slice]:
    x0, y0, x1, y1 = (box / CELL_PX).clip(0, n)
    return slice(int(y0), math.ceil(y1)), slice(int(x0), math.ceil(x1))


def _draw_peak(heat: Array, line: int, column: int, sigma: float) -> None:
    """Draw a Gaussian with its top, 1, in a cell; where peaks overlap, the higher value stays."""
    n, reach = len(heat), max(1, int(3 * sigma))
    rows = slice(max(0, line - reach), min(n, line + reach + 1))
    columns = slice(max(0, column - reach), min(n, column + reach + 1))
    y, x = np.ogrid[rows, columns]
    peak = np.exp(-((y - line) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    np.maximum(heat[rows, columns], peak, out=heat[rows, columns])
