"""Detect and classify faces with a folder that ``maskkit export --bundle`` wrote.

This file needs numpy, Pillow and onnxruntime, and nothing else of maskkit. It may be copied anywhere.

    python maskkit_bundle.py FOLDER photo.jpg ...

prints one line of JSON per photo. In Python:

    from maskkit_bundle import Bundle

    for face in Bundle("FOLDER").predict_faces("photo.jpg"):
        print(face["box"], face["decision"], face["probability"])
"""

import io
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

BUNDLE_VERSION = 1
"""Version of the bundles that this file reads."""

# Crops that are classified together.
_BATCH_SIZE = 32

Photo = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8]


class Found(NamedTuple):
    """Faces found in a photo or in a part of it, in pixels of the photo."""

    boxes: NDArray[np.float32]  # (n, 4): left, top, right, bottom
    scores: NDArray[np.float32]  # (n,)
    landmarks: NDArray[np.float32]  # (n, 5, 2): x, y
    scales: NDArray[np.float32]  # (n,): pixels that were searched per pixel of the photo

    def select(self, rows: NDArray[Any]) -> "Found":
        """Return some of the faces, by indices or a mask."""
        return Found(*(array[rows] for array in self))


class Tile(NamedTuple):
    """A part of a photo at one scale; ``point / scale_xy + offset_xy`` turns its pixels into pixels of the photo."""

    pixels: NDArray[np.uint8]
    scale_xy: NDArray[np.float32]
    offset_xy: NDArray[np.float32]


class Bundle:
    """A detector and a classifier of faces.

    Parameters
    ----------
    folder : path
        Path to the folder that ``maskkit export --bundle`` wrote.

    Attributes
    ----------
    spec : dict
        Content of ``spec.json``, which documents every step.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        folder = Path(folder)
        file = folder / "spec.json"
        if not file.is_file():
            raise ValueError(f"{folder} has no spec.json; pass a folder that 'maskkit export --bundle' wrote.")
        self.spec: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if self.spec.get("bundle") != BUNDLE_VERSION:
            raise ValueError(
                f"{file} is of bundle version {self.spec.get('bundle')}; this file reads version {BUNDLE_VERSION}. "
                f"Use the maskkit_bundle.py of that folder, or a folder of 'maskkit export --bundle'."
            )
        self._detector, self._classifier = (
            onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
            for name in (self.spec["detector"]["file"], self.spec["file"])
        )

    def predict_faces(self, photo: Photo) -> list[dict[str, Any]]:
        """Detect and classify the faces of a photo.

        Parameters
        ----------
        photo : path, bytes, binary file, PIL image or ndarray of shape (H, W, 3), uint8
            A photo. An array is RGB and upright.

        Returns
        -------
        faces : list of dict
            The faces, largest first, with ``box``, ``label``, ``probability``, ``probabilities``, ``decision``,
            ``reasons`` and more, as ``FaceResult.to_dict`` of maskkit.

        Raises
        ------
        OSError, ValueError
            If the photo cannot be read; for a damaged file, Pillow may raise another exception.
        """
        return self._predict(load_photo(photo))

    def read_photo(self, path: str) -> dict[str, Any]:
        """Return the result of one photo as `main` prints it; one that cannot be read has an ``error``."""
        size, error, faces = None, None, []
        try:
            image = load_photo(path)
        except Exception as exc:  # Pillow's decoders raise nearly any type on a broken file.
            error = f"{path}: {exc}"
        else:
            size, faces = [image.shape[1], image.shape[0]], self._predict(image)
        return {
            "source": path,
            "size": size,
            "status": "unreadable" if error else "ok" if faces else "no_face",
            "error": error,
            "summary": dict(Counter(str(face["decision"]) for face in faces).most_common()),
            "faces": [{"face": number, **face} for number, face in enumerate(faces, 1)],
            "model": self.spec["model"],
        }

    def _predict(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        found = _fit_to_image(self.detect(image), image)
        size = self.spec["input"]["shape"][1]
        crops = [_crop(image, box, self.spec["input"]["crop_margin"], size) for box in found.boxes]
        faces: list[dict[str, Any]] = []
        for start in range(0, len(crops), _BATCH_SIZE):
            outputs = self._run(self._classifier, np.stack(crops[start : start + _BATCH_SIZE]))
            distances = outputs.get("distances", np.zeros(len(outputs["probabilities"])))
            for row, distance in zip(outputs["probabilities"].astype(np.float64), distances, strict=True):
                faces.append(self._describe(found, len(faces), row, float(distance)))
        return faces

    def _describe(self, found: Found, index: int, row: NDArray[np.float64], distance: float) -> dict[str, Any]:
        spec, best = self.spec, int(row.argmax())
        left, top, right, bottom = map(int, found.boxes[index])
        size_px, probability = max(right - left, bottom - top), float(row[best])
        limit = spec["not_a_face"]["limit"] if spec["not_a_face"] else math.inf
        checks = {
            "too_small": size_px >= spec["min_size_px"],
            "low_probability": probability >= spec["uncertain_below"],
            "not_a_face": distance <= limit,
        }
        reasons = [reason for reason, is_passed in checks.items() if not is_passed]
        covered = spec["nose_and_mouth_covered"]
        return {
            "box": [left, top, right, bottom],
            "detection_score": float(found.scores[index]),
            "label": spec["classes"][best],
            "probability": probability,
            "probabilities": dict(zip(map(str, spec["classes"]), map(float, row), strict=True)),
            "decision": "uncertain" if reasons else spec["classes"][best],
            "reasons": reasons,
            "nose_and_mouth_covered": None if reasons or covered is None else covered[best],
            "size_px": size_px,
            "landmarks": [[round(float(x), 1), round(float(y), 1)] for x, y in found.landmarks[index]],
        }

    @staticmethod
    def _run(session: Any, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {session.get_inputs()[0].name: images}), strict=True))

    def detect(self, image: NDArray[np.uint8]) -> Found:
        """Detect the faces of an RGB image (H, W, 3), in order of decreasing score; boxes may reach over its edge."""
        spec = self.spec["detector"]
        height, width = image.shape[:2]
        found = []
        for index, long_side_px in enumerate(choose_long_sides(height, width, spec["scales"])):
            # At the first scale only, a face that fills much of the picture needs a lower score.
            large_px = spec["faces"]["large_face"] * _largest_face_px(height, width, spec["scales"])
            for tile in cut_tiles(image, long_side_px, spec["tiles"]):
                found.append(self._search(tile, large_px if index == 0 else math.inf))
        return merge_faces(Found(*map(np.concatenate, zip(*found, strict=True))), spec["merging"])

    def _search(self, tile: Tile, large_px: float) -> Found:
        """Search one tile; faces longer than `large_px` need a lower score than others."""
        spec = self.spec["detector"]
        threshold = spec["faces"]["threshold"]
        lowest = threshold * (spec["faces"]["large_face_factor"] if large_px < math.inf else 1)
        maps = self._run(self._detector, _pad(tile.pixels, spec["padding"])[None])
        rows, columns = np.nonzero(maps["heat"][0, 0] > lowest)
        scores, sizes, offsets, points = (maps[name][0][:, rows, columns].T for name in spec["outputs"])
        # Here y comes before x, as in the maps.
        sizes = np.exp(sizes) * spec["cell_px"]
        corners = (np.stack([rows, columns], axis=1) + offsets + 0.5) * spec["cell_px"] - sizes / 2
        landmarks = corners[:, None] + points.reshape(-1, 5, 2) * sizes[:, None]
        boxes = np.concatenate([corners[:, ::-1], (corners + sizes)[:, ::-1]], axis=1)
        boxes = (boxes / np.tile(tile.scale_xy, 2) + np.tile(tile.offset_xy, 2)).astype(np.float32)
        landmarks = (landmarks[..., ::-1] / tile.scale_xy + tile.offset_xy).astype(np.float32)
        scales = np.full(len(boxes), tile.scale_xy.max(), np.float32)
        is_large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) > large_px
        return Found(boxes, scores[:, 0], landmarks, scales).select((scores[:, 0] > threshold) | is_large)


def load_photo(photo: Photo) -> NDArray[np.uint8]:
    """Return a photo as RGB (H, W, 3) uint8, turned upright by its EXIF orientation, transparent pixels on white.

    Raises OSError or ValueError if it cannot be read.
    """
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
            raise ValueError(f"the array has shape {photo.shape} and dtype {photo.dtype}; want (H, W, 3) and uint8.")
        return photo
    if isinstance(photo, bytes):
        photo = io.BytesIO(photo)
    picture = photo if isinstance(photo, Image.Image) else Image.open(photo)
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"the picture has more than 8 bits per channel (mode {picture.mode}); convert it to 8 bits.")
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))


def choose_long_sides(height: int, width: int, scales: dict[str, Any]) -> list[int]:
    """Return the long sides, in pixels, at which an image is searched, from coarse to fine."""
    if scales["long_sides_px"] != "auto":
        return list(scales["long_sides_px"])
    largest = _largest_face_px(height, width, scales)
    limit = (scales["max_pixels"] / (height * width)) ** 0.5
    chosen = [min(scales["small_px"] / largest, limit)]
    chosen.append(min(scales["usual_px"] / largest, scales["max_enlargement"], limit))
    step = scales["usual_px"] / scales["small_px"]
    while min(1.0, limit) > chosen[-1] * scales["more_detail"]:
        chosen.append(min(1.0, limit, chosen[-1] * step))
    return sorted({max(1, round(scale * max(height, width))) for scale in chosen})


def _largest_face_px(height: int, width: int, scales: dict[str, Any]) -> float:
    """Return the size of the largest face that an image can hold."""
    return min(max(height, width), scales["max_face_aspect"] * min(height, width))


def cut_tiles(image: NDArray[np.uint8], long_side_px: int, tiles: dict[str, Any]) -> Iterator[Tile]:
    """Scale an image to a long side and cut it into tiles that overlap, or one tile if it is small."""
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    scale_xy = np.array([new_width / width, new_height / height], np.float32)
    picture = Image.fromarray(image)
    for top, bottom in _split(new_height, tiles):
        for left, right in _split(new_width, tiles):
            edges = (left / scale_xy[0], top / scale_xy[1], right / scale_xy[0], bottom / scale_xy[1])
            box = tuple(min(float(edge), limit) for edge, limit in zip(edges, (width, height) * 2, strict=True))
            size = (right - left, bottom - top)
            tile = picture.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=tiles["reducing_gap"])
            yield Tile(np.asarray(tile), scale_xy, np.array(edges[:2], np.float32))


def _split(n_pixels: int, tiles: dict[str, Any]) -> list[tuple[int, int]]:
    """Split a side into even parts that overlap."""
    tile_px, overlap_px = tiles["tile_px"], tiles["overlap_px"]
    if n_pixels <= tile_px:
        return [(0, n_pixels)]
    n_parts = math.ceil((n_pixels - overlap_px) / (tile_px - overlap_px))
    return [(int(start), int(start) + tile_px) for start in np.linspace(0, n_pixels - tile_px, n_parts).round()]


def _pad(pixels: NDArray[np.uint8], padding: dict[str, Any]) -> NDArray[np.uint8]:
    """Pad with black at the right and bottom to the shape that the network takes."""
    height, width = pixels.shape[:2]
    longer, step = max(height, width), padding["step_px"]
    if longer <= padding["square_up_to_px"]:
        rows = columns = longer + -longer % step
    else:
        step = step if longer > padding["double_step_up_to_px"] else 2 * step
        rows, columns = height + -height % step, width + -width % step
    return np.pad(pixels, ((0, rows - height), (0, columns - width), (0, 0)))


def merge_faces(found: Found, merging: dict[str, Any]) -> Found:
    """Merge the faces of several scales, so that each face is one box, in order of decreasing score.

    Among boxes that overlap, that one remains whose score is highest, where a score counts less at a scale that is too
    small or too large for the face.
    """
    boxes = found.boxes.astype(np.float64)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    longer = np.maximum(sides.max(axis=1, initial=0) * found.scales, 1e-6)
    smallest, largest = merging["best_px"]
    trust = np.minimum(1, np.minimum(longer / smallest, largest / longer))
    remaining = np.argsort(-found.scores * trust, kind="stable")
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept = []
    while len(remaining):
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        starts, ends = (
            np.maximum(boxes[first, :2], boxes[remaining, :2]),
            np.minimum(boxes[first, 2:], boxes[remaining, 2:]),
        )
        overlap = (ends - starts).clip(0).prod(axis=1)
        iou = overlap / np.maximum(areas[first] + areas[remaining] - overlap, 1e-6)
        contained = overlap / np.maximum(np.minimum(areas[first], areas[remaining]), 1e-6)
        remaining = remaining[(iou <= merging["nms_iou"]) & (contained <= merging["contained"])]
    order = np.array(kept, int)
    return found.select(order[np.argsort(-found.scores[order], kind="stable")])


def _fit_to_image(found: Found, image: NDArray[np.uint8]) -> Found:
    """Round boxes to whole pixels inside the image, drop those outside, and sort by area, largest first."""
    height, width = image.shape[:2]
    boxes = np.rint(found.boxes).clip(0, np.array([width, height, width, height], np.float32))
    sizes = boxes[:, 2:] - boxes[:, :2]
    inside = np.flatnonzero((sizes > 0).all(axis=1))
    order = inside[np.argsort(-sizes[inside].prod(axis=1), kind="stable")]
    return found._replace(boxes=boxes).select(order)


def _crop(image: NDArray[np.uint8], box: NDArray[np.float32], margin: float, size: int) -> NDArray[np.uint8]:
    """Cut a square around a face, where the edge of the image is repeated outside, and resize it."""
    left, top, right, bottom = map(float, box)
    side = max(1, round(margin * max(right - left, bottom - top)))
    rows, columns = (
        np.clip(np.arange(side) + round(center - side / 2), 0, n_pixels - 1)
        for center, n_pixels in (((top + bottom) / 2, image.shape[0]), ((left + right) / 2, image.shape[1]))
    )
    crop = Image.fromarray(image[rows[:, None], columns])
    return np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))


def main(arguments: Sequence[str]) -> int:
    """Print the faces of photos as JSON Lines; return 1 if a photo cannot be read."""
    if len(arguments) < 2:
        print("usage: python maskkit_bundle.py FOLDER PHOTO ...", file=sys.stderr)
        return 2
    try:
        bundle = Bundle(arguments[0])
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 2
    status = 0
    for path in arguments[1:]:
        result = bundle.read_photo(path)
        print(json.dumps(result), flush=True)
        status |= result["error"] is not None
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
