"""Cropping pictures that show more than a face to the face."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector, detect_batch
from maskkit.detectors.maskkit import MaskkitDetector

# A face below this share of the picture's longer side is cropped; in a face crop, the face has a larger share.
# In smaller pictures no such face is large enough to be detected. Both were measured, with CenterFace's weights:
# docs/measurements.md.
SMALL_FACE = 0.55
MIN_PICTURE_PX = 96

# With CenterFace's weights, detects a face that fills a tenth of the picture.
LONG_SIDE_PX = 256
THRESHOLD = 0.5
# Detects a face that fills the picture in an eighth of that time, in 97 of 100 face crops, as many as at 96 px. Of
# 9,021 crops and faces with their surroundings, 4 got another label than with 96 px; as many were right.
FAST_LONG_SIDE_PX = 64


class FaceFinder:
    """Finds the face of a picture that shows more than a face, such as a picture of a whole person.

    `detector` is skipped where `fast_detector` finds a face that fills the picture. By default, both are maskkit's own.
    """

    def __init__(self, detector: Detector | None = None, fast_detector: Detector | None = None):
        self.detector = detector or _make_detector(LONG_SIDE_PX)
        self.fast_detector = fast_detector or _make_detector(FAST_LONG_SIDE_PX)

    @property
    def settings(self) -> tuple[Any, ...]:
        """Everything that a crop depends on besides the picture."""
        return repr(self.detector), repr(self.fast_detector), SMALL_FACE, MIN_PICTURE_PX

    def find(self, images: Sequence[RgbImage]) -> list[NDArray[np.float32] | None]:
        """Return, for each picture, the box (4,) of the largest face if it is a small part of the picture, else None.

        None is also returned if no face is found, or if the picture is too small to contain such a face.
        """
        large = [index for index, image in enumerate(images) if max(image.shape[:2]) >= MIN_PICTURE_PX]
        looks = _find_largest([images[index] for index in large], self.fast_detector)
        boxes: list[NDArray[np.float32] | None] = [None] * len(images)
        for index in (index for index, (_, fraction) in zip(large, looks, strict=True) if fraction < SMALL_FACE):
            ((box_xyxy, fraction),) = _find_largest([images[index]], self.detector)
            boxes[index] = box_xyxy if fraction < SMALL_FACE else None
        return boxes

    def crop(self, images: Sequence[RgbImage]) -> list[RgbImage]:
        """Return the pictures, cropped to the face where `find` returns a box."""
        return list(map(crop_to_face, images, self.find(images)))


def crop_to_face(image: RgbImage, box_xyxy: NDArray[np.float32] | None) -> RgbImage:
    """Return a square crop around the box, or the whole picture without a box."""
    return image if box_xyxy is None else crop_square(image, box_xyxy)


def _find_largest(images: Sequence[RgbImage], detector: Detector) -> list[tuple[NDArray[np.float32] | None, float]]:
    """Return the largest face of each picture and its fraction of the longer side; None and 0 if there is no face."""
    found: list[tuple[NDArray[np.float32] | None, float]] = []
    for image, faces in zip(images, detect_batch(detector, images), strict=True):
        sides = (faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).max(axis=1, initial=0)
        largest = int(sides.argmax()) if len(sides) else None
        share = 0.0 if largest is None else float(sides[largest]) / max(image.shape[:2])
        found.append((None if largest is None else faces.boxes_xyxy[largest], share))
    return found


def _make_detector(long_side_px: int) -> Detector:
    return MaskkitDetector(long_side_px, threshold=THRESHOLD, device="cpu", n_threads=1)
