"""The face in a picture that shows more than a face."""

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector

# A face of less than this share of the picture's longer side is cut out; one in a crop has more. Below
# so many pixels no such face is left that a detector finds. Both measured: docs/measurements.md.
SMALL_FACE = 0.55
SMALLEST_PICTURE_PX = 96


def find_face_to_crop(
    image: RgbImage, detector: Detector, fast_detector: Detector | None = None
) -> NDArray[np.float32] | None:
    """Find the largest face of a picture if it is a small part of it, as in one of a whole person.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    detector : Detector
    fast_detector : Detector, optional
        A quicker one: where it sees a face that fills the picture, `detector` is not asked.

    Returns
    -------
    box_xyxy : ndarray of shape (4,), float32, or None
        None if the picture is a face crop already, or no face is found.
    """
    if max(image.shape[:2]) < SMALLEST_PICTURE_PX:
        return None
    if fast_detector is not None and _find_largest(image, fast_detector)[1] >= SMALL_FACE:
        return None
    box_xyxy, share = _find_largest(image, detector)
    return box_xyxy if share < SMALL_FACE else None


def _find_largest(image: RgbImage, detector: Detector) -> tuple[NDArray[np.float32] | None, float]:
    """Give the largest face and its share of the picture's longer side; 0 if there is none."""
    boxes = detector.detect(image).boxes_xyxy
    if len(boxes) == 0:
        return None, 0.0
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    largest = int(sides.argmax())
    return boxes[largest], float(sides[largest]) / max(image.shape[:2])


def crop_to_face(image: RgbImage, box_xyxy: NDArray[np.float32] | None) -> RgbImage:
    """Cut out the face, or give the whole picture if there is no box."""
    return image if box_xyxy is None else crop_square(image, box_xyxy)
