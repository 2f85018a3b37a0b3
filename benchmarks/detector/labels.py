"""Training labels of the face detector: annotated faces, and those that CenterFace finds besides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou, nms

from maskkit._images.boxes import share_of_smaller
from maskkit._images.load import ImageSource, load_image
from maskkit._labels import UNMASKED, meaning_of
from maskkit.datasets import AnnotatedPhoto
from maskkit.detectors import CenterFaceDetector, Detector

Array = NDArray[np.float32]

# Photos are split in tens, in natural order of their names: some to choose settings by, some for the report.
CHOOSE, REPORT = (3,), (4, 9)

# Long sides at which CenterFace searches photos and crops, and the sizes of faces at them, in pixels, that are used.
_PHOTO_SIDES, _CROP_SIDES, _TRUSTED_PX = (480, 800, 1200), (160, 240), (9, 300)
# CenterFace is right nearly always above the second score. Between the two, the loss looks away.
_MIN_SCORE, _SURE_SCORE = 0.25, 0.5
# An annotated face and a box of CenterFace are one face from this overlap on. Small boxes overlap little.
_MATCH_IOU = 0.35

# CenterFace's boxes reach from the hair to the chin. Ours reach from the brow to the chin, as most annotated ones: the
# top and bottom edges move down by these shares of the height, about halfway to the annotated boxes (medians over all
# photos).
_TOP_SHIFT, _BOTTOM_SHIFT = 0.10, 0.03
# The face in a crop in which CenterFace finds none: medians of its boxes in other crops, in shares of the crop.
_USUAL_BOX = np.array([0.11, 0.14, 0.88, 0.97], np.float32)


@dataclass(slots=True)
class Example:
    """A picture with its faces: boxes (n, 4), landmarks (n, 5, 2), NaN where unknown, whether each face is unmasked.

    In `ignored` (m, 4) there may be a face or not.
    """

    source: ImageSource
    boxes: Array
    landmarks: Array
    is_unmasked: NDArray[np.bool_]
    ignored: Array


def label_photos(photos: Iterable[AnnotatedPhoto]) -> list[Example]:
    """Combine annotated faces with the faces that CenterFace finds in the photos."""
    return [_label_photo(photo) for photo in photos]


def label_crops(crops: Sequence[ImageSource], labels: Sequence[str]) -> list[Example]:
    """Find the face of each crop with CenterFace; where it finds none, the face is assumed to fill the crop."""
    examples = []
    for source, label in zip(crops, labels, strict=True):
        image = load_image(source)
        height, width = image.shape[:2]
        boxes, scores, landmarks = _detect(image, _CROP_SIDES)
        fills = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > 0.12 * height * width
        others = boxes
        if fills.any():
            best = int(np.where(fills, scores, -1).argmax())
            box, points = _to_our_style(boxes[best]), landmarks[best]
            others = np.delete(boxes, best, axis=0)
        else:
            box = _USUAL_BOX * np.float32([width, height, width, height])
            points = np.full((5, 2), np.nan, np.float32)
        others = others[_covered(others, box[None]) < 0.5]
        examples.append(Example(source, box[None], points[None], np.array([_is_unmasked(label)]), others))
    return examples


def refine_crops(examples: Iterable[Example], detector: Detector) -> None:
    """Replace the boxes of crops in which CenterFace found no face by those of another detector."""
    for example in examples:
        if np.isnan(example.landmarks).all():
            found = detector.detect(load_image(example.source))
            sizes = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]).prod(axis=1)
            if len(found) and found.landmarks is not None:
                example.boxes, example.landmarks = (
                    values[sizes.argmax()][None] for values in (found.boxes_xyxy, found.landmarks)
                )


def _label_photo(photo: AnnotatedPhoto) -> Example:
    found, scores, points = _detect(load_image(photo.path), _PHOTO_SIDES)
    boxes = np.asarray(photo.boxes_xyxy, np.float32).reshape(-1, 4).copy()
    landmarks = np.full((len(boxes), 5, 2), np.nan, np.float32)
    matches = match(boxes, found)
    for row, other in enumerate(matches):
        if other >= 0:
            boxes[row] = (boxes[row] + _to_our_style(found[other])) / 2
            landmarks[row] = points[other]
    is_other = ~np.isin(np.arange(len(found)), matches) & (_covered(found, boxes) < 0.5)
    is_sure = is_other & (scores > _SURE_SCORE)
    unmasked = [_is_unmasked(label) for label in photo.labels] + [False] * int(is_sure.sum())
    return Example(
        photo.path,
        np.concatenate([boxes, _to_our_style(found[is_sure])]),
        np.concatenate([landmarks, points[is_sure]]),
        np.array(unmasked, bool),
        found[is_other & ~is_sure],
    )


def match(boxes: Array, found: Array, min_iou: float = _MATCH_IOU) -> NDArray[np.int64]:
    """Return the index of the found box of each box, best pairs first, or -1."""
    matches = np.full(len(boxes), -1)
    if len(boxes) and len(found):
        iou = box_iou(torch.from_numpy(boxes), torch.from_numpy(found)).numpy()
        for _ in range(len(boxes)):
            row, column = np.unravel_index(iou.argmax(), iou.shape)
            if iou[row, column] < min_iou:
                break
            matches[row] = column
            iou[row], iou[:, column] = -1, -1
    return matches


def _detect(image: NDArray[np.uint8], long_sides_px: Sequence[int]) -> tuple[Array, Array, Array]:
    """Merge CenterFace's boxes, scores and landmarks found at several scales."""
    parts = []
    for side in long_sides_px:
        faces = CenterFaceDetector(long_sides_px=side, threshold=_MIN_SCORE).detect(image)
        sizes = (faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).max(axis=1, initial=0) * side / max(image.shape[:2])
        kept = (sizes > _TRUSTED_PX[0]) & (sizes < _TRUSTED_PX[1])
        parts.append((faces.boxes_xyxy[kept], faces.scores[kept], faces.landmarks[kept]))
    boxes, scores, landmarks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.35).numpy()
    return boxes[kept], scores[kept], landmarks[kept]


def _to_our_style(boxes: Array) -> Array:
    heights = (boxes[..., 3] - boxes[..., 1])[..., None]
    return (boxes + heights * np.float32([0, _TOP_SHIFT, 0, _BOTTOM_SHIFT])).astype(np.float32)


def _covered(boxes: Array, others: Array) -> NDArray[np.floating]:
    """Return, for each box, its largest intersection with another, as a share of the smaller of the two."""
    if len(boxes) == 0 or len(others) == 0:
        return np.zeros(len(boxes), np.float32)
    return share_of_smaller(boxes, others).max(axis=1)


def _is_unmasked(label: object) -> bool:
    return meaning_of(str(label)) == UNMASKED
