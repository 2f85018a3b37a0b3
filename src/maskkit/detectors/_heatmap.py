"""Detection with the face network: what `MaskkitDetector` and `CenterFaceDetector` share."""

import os
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from maskkit._checks.numbers import check_float, check_int, to_python
from maskkit._images.load import RgbImage
from maskkit._images.prefetch import in_batches
from maskkit.detectors._base import Detector, Faces, check_image
from maskkit.detectors._network import CELL_PX, STEP_PX
from maskkit.detectors._pyramid import (
    Tile,
    choose_long_sides,
    cut_regions,
    cut_tiles,
    largest_face_px,
    merge_faces,
)
from maskkit.detectors._runner import Cells, Runner, make_runner
from maskkit.detectors._weights import check_weights_file, load_once
from maskkit.engines._devices import resolve_device

SMALL_TILE_PX = 256
TINY_TILE_PX = 128
_MIN_SIDE_PX = 32
# A larger image of any shape would not fit in the memory of most machines; a model file may state any side. Ours.
_MAX_SIDE_PX = 32_768
# Tiles wait until they have so many pixels, 48 MB, and are then run in the order of their shapes: OpenVINO takes
# longer whenever the shape changes.
_MAX_WAITING_PIXELS = 16_000_000
# A face of more than this share of the largest one that the picture can hold fills much of it.
LARGE_FACE = 0.4


class HeatmapDetector(BaseEstimator):
    """Detector that searches images at several scales with the network's heat map of face centers."""

    # Static methods: the path of the default weights, and the `FaceNetwork` of a path.
    _find_weights: ClassVar[Any]
    _read_network: ClassVar[Any]
    # At the first scale, a face that fills much of the picture may have this share of the threshold: there are few
    # places for such a face, and so few false ones.
    _large_face_factor = 1.0

    def __init__(
        self,
        long_sides_px: Literal["auto"] | int | Sequence[int] = "auto",
        threshold: float = 0.4,
        nms_iou: float = 0.3,
        max_pixels: int = 5_000_000,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        self.long_sides_px = long_sides_px
        self.threshold = threshold
        self.nms_iou = nms_iou
        self.max_pixels = max_pixels
        self.weights = weights
        self.device = device
        self.n_threads = n_threads

    def detect(self, image: RgbImage) -> Faces:
        """Detect the faces in an image. Safe to call from several threads.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.

        Returns
        -------
        faces : Faces
            In order of decreasing score, with five landmarks. Scores are 0 to 1.

        Raises
        ------
        TypeError, ValueError
            If `image` has another shape or dtype, or a parameter is of another type or out of its range.
        WeightsError
            If the network's file is missing or is not this network.
        """
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[RgbImage]) -> list[Faces]:
        """Detect the faces in several images, which is faster than one by one on a GPU.

        Parameters
        ----------
        images : sequence of ndarray of shape (H, W, 3), uint8
            RGB, upright; of any sizes.

        Returns
        -------
        faces : list of Faces
            As `detect` returns them, except for rounding.

        Raises
        ------
        TypeError, ValueError, WeightsError
            As `detect`.
        """
        for image in images:
            check_image(image)
        return self._check_params()._search(self._runner(), images)

    def detect_near(self, image: RgbImage, boxes_xyxy: ArrayLike) -> Faces:
        """Detect the faces near given boxes, such as those of the last frame of a video, in a fraction of the time.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.
        boxes_xyxy : array-like of shape (n_boxes, 4)
            Where faces are expected: left, top, right, bottom in pixels.

        Returns
        -------
        faces : Faces
            As `detect` returns them: those of about the size of a box whose center is at most half its longer side
            outside it. Others may be missing.

        Raises
        ------
        TypeError, ValueError, WeightsError
            As `detect`.
        """
        check_image(image)
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        tiles = [(tile, np.inf) for tile in cut_regions(image, boxes)]
        if not tiles:
            return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
        faces = self._check_params()._search(self._runner(), [image], lambda _: tiles)[0]
        # A face farther from all boxes may be cut off by the edge of a square, and its box be wrong.
        half_sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
        centers = (faces.boxes_xyxy[:, None, :2] + faces.boxes_xyxy[:, None, 2:]) / 2
        is_near = (centers >= boxes[:, :2] - half_sides) & (centers <= boxes[:, 2:] + half_sides)
        return faces.select(is_near.all(axis=2).any(axis=1))

    def _runner(self) -> Runner:
        hint = "LATENCY" if self.n_threads is None else "THROUGHPUT"
        return _load_runner(self._weights_path(), type(self)._read_network, resolve_device(self.device), hint)

    def _check_params(self) -> Self:
        """Return a copy whose parameters are checked and whose numbers are Python's."""
        checked = copy(self)
        checked.threshold = check_float(self.threshold, "threshold", 0, 1)
        checked.nms_iou = check_float(self.nms_iou, "nms_iou", 0, 1)
        checked.max_pixels = check_int(self.max_pixels, "max_pixels", _MIN_SIDE_PX**2)
        if self.n_threads is not None and to_python(self.n_threads) != 1:
            raise ValueError(f"n_threads={self.n_threads!r}; use None for all cores, or 1.")
        given = to_python(self.long_sides_px)
        if isinstance(given, str):
            if given != "auto":
                raise ValueError(f"long_sides_px={given!r}; use 'auto', or long sides such as (240, 800).")
            return checked
        sides = list(given) if isinstance(given, Iterable) else [given]
        if not sides:
            raise ValueError("long_sides_px is empty; use 'auto', or long sides such as (240, 800).")
        checked.long_sides_px = sorted({check_int(side, "long_sides_px", _MIN_SIDE_PX, _MAX_SIDE_PX) for side in sides})
        return checked

    def _search(
        self,
        runner: Runner,
        images: Sequence[RgbImage],
        cut: Callable[[RgbImage], Iterable[tuple[Tile, float]]] | None = None,
    ) -> list[Faces]:
        """Search images with a runner, tiles of one shape after or with each other; `cut` cuts them into tiles."""
        found: list[list[tuple[Faces, float]]] = [[] for _ in images]
        waiting: dict[tuple[int, int], list[_Place]] = {}
        n_waiting = 0
        for index, image in enumerate(images):
            for tile, large_px in (cut or self._cut)(image):
                shape = _padded_shape(*tile.pixels.shape[:2])
                waiting.setdefault(shape, []).append((index, tile, large_px))
                n_waiting += shape[0] * shape[1]
                if n_waiting > _MAX_WAITING_PIXELS:
                    self._run(runner, waiting, found)
                    waiting, n_waiting = {}, 0
        self._run(runner, waiting, found)
        return [merge_faces(faces, self.nms_iou) for faces in found]

    def _run(
        self,
        runner: Runner,
        waiting: dict[tuple[int, int], list["_Place"]],
        found: list[list[tuple[Faces, float]]],
    ) -> None:
        """Run the network on tiles, and add the faces and their scale to those found in each image."""
        for (height, width), places in waiting.items():
            for chunk in in_batches(places, max(1, runner.max_pixels // (height * width))):
                batch = np.zeros((len(chunk), height, width, 3), np.uint8)  # padded with black at the right and bottom
                for padded, (_, tile, _) in zip(batch, chunk, strict=True):
                    padded[: tile.pixels.shape[0], : tile.pixels.shape[1]] = tile.pixels
                may_be_large = any(np.isfinite(large_px) for *_, large_px in chunk)
                threshold = self.threshold * (self._large_face_factor if may_be_large else 1)
                for (index, tile, large_px), cells in zip(chunk, runner.find_cells(batch, threshold), strict=True):
                    faces = _decode(cells, tile)
                    is_large = (faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).max(axis=1, initial=0) > large_px
                    kept = faces.select((faces.scores > self.threshold) | is_large)
                    found[index].append((kept, float(tile.scale_xy.max())))

    def _weights_path(self) -> str:
        return self._find_weights() if self.weights is None else check_weights_file(self.weights)

    def _cut(self, image: RgbImage) -> Iterable[tuple[Tile, float]]:
        """Cut an image into tiles at each scale, with the size of faces that fill much of the picture."""
        height, width = image.shape[:2]
        sides: Any = self.long_sides_px  # checked, and so "auto" or a list
        if isinstance(sides, str):
            sides = choose_long_sides(height, width, self.max_pixels)
        for index, long_side_px in enumerate(sides):
            large_px = LARGE_FACE * largest_face_px(height, width) if index == 0 else np.inf
            for tile in cut_tiles(image, long_side_px):
                yield tile, large_px


# Index of the image, tile, and the size from which a face fills much of the picture, in pixels of the image.
_Place = tuple[int, Tile, float]

_load_runner = load_once(make_runner)


def on_device(detector: Detector, device: str) -> Detector:
    """Return a copy of a detector that computes on a device, if it leaves the choice to others, else the detector."""
    if isinstance(detector, HeatmapDetector) and detector.device == "auto" != device:
        return copy(detector).set_params(device=device)
    return detector


def limit_scales(detector: Detector, max_pixels: int) -> Detector:
    """Return a copy of a detector that scales images to at most so many pixels, if it chooses the scales itself."""
    if isinstance(detector, HeatmapDetector):
        return copy(detector).set_params(max_pixels=min(max_pixels, check_int(detector.max_pixels, "max_pixels")))
    return detector


def _padded_shape(height: int, width: int) -> tuple[int, int]:
    # OpenVINO prepares each new shape, which for small tiles takes longer than computing more padding.
    if max(height, width) <= TINY_TILE_PX:
        side = max(height, width)
        return side + -side % STEP_PX, side + -side % STEP_PX
    step = STEP_PX if max(height, width) > SMALL_TILE_PX else 2 * STEP_PX
    return height + -height % step, width + -width % step


def _decode(cells: Cells, tile: Tile) -> Faces:
    """Return boxes, scores and landmarks, one per cell, in pixels of the image."""
    # Height and width, in cells, are predicted as logarithms, and the center of the face as an offset from the middle
    # of the cell.
    sizes = np.exp(cells.values[:, :2]) * CELL_PX
    centers = (cells.positions + cells.values[:, 2:4] + 0.5) * CELL_PX
    corners = centers - sizes / 2
    # Landmarks are relative to the top left corner of the box, in units of its sides. Up to here y comes before x.
    landmarks = corners[:, None] + cells.values[:, 4:].reshape(-1, 5, 2) * sizes[:, None]
    boxes: NDArray[np.float32] = np.concatenate([corners[:, ::-1], (corners + sizes)[:, ::-1]], axis=1)
    boxes_xyxy = boxes / np.tile(tile.scale_xy, 2) + np.tile(tile.offset_xy, 2)
    points = landmarks[..., ::-1] / tile.scale_xy + tile.offset_xy
    return Faces(boxes_xyxy.astype(np.float32), cells.scores.astype(np.float32), points.astype(np.float32))
