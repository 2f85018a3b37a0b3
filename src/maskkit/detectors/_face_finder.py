"""Cropping pictures that show more than a face to the face."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector
from maskkit.detectors.maskkit import MaskkitDetector

# A face below this share of the picture's longer side is cropped; in a face crop, the face has a larger share.
# In smaller pictures no such face is large enough to be detected. Both were measured, with CenterFace's weights:
# docs/measurements.md.
SMALL_FACE = 0.55
MIN_PICTURE_PX = 96

# With CenterFace's weights, detects a face that fills a tenth of the picture.
LONG_SIDE_PX = 256
THRESHOLD = 0.5
# With CenterFace's weights, detects a face that fills the picture in a third of that time, in six of seven face crops.
FAST_LONG_SIDE_PX = 96


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

    def find(self, image: RgbImage) -> NDArray[np.float32] | None:
        """Return the box of the largest face, (4,), if it is a small part of the picture, else None.

        None is also returned if no face is found, or if the picture is too small to contain such a face.
        """
        if max(image.shape[:2]) < MIN_PICTURE_PX or _find_largest(image, self.fast_detector)[1] >= SMALL_FACE:
            return None
        box_xyxy, fraction = _find_largest(image, self.detector)
        return box_xyxy if fraction < SMALL_FACE else None

    def crop(self, image: RgbImage) -> RgbImage:
        """Return the picture, cropped to the face where `find` returns a box."""
        return crop_to_face(image, self.find(image))


def crop_to_face(image: RgbImage, box_xyxy: NDArray[np.float32] | None) -> RgbImage:
    """Return a square crop around the box, or the whole picture without a box."""
    return image if box_xyxy is None else crop_square(image, box_xyxy)


def _find_largest(image: RgbImage, detector: Detector) -> tuple[NDArray[np.float32] | None, float]:
    """Return the largest face and its fraction of the picture's longer side; None and 0 if there is no face."""
    boxes = detector.detect(image).boxes_xyxy
    if len(boxes) == 0:
        return None, 0.0
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    largest = int(sides.argmax())
    return boxes[largest], float(sides[largest]) / max(image.shape[:2])


def _make_detector(long_side_px: int) -> Detector:
    return MaskkitDetector(long_side_px, threshold=THRESHOLD, device="cpu", n_threads=1)
