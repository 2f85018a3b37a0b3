"""Search for the face in a picture that shows more than a face."""

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector

# A face whose longer side is less than this share of the picture's is cut out; faces in crops are larger.
# In pictures below MIN_PICTURE_PX, a face of that share is too small for a detector. Both numbers were
# measured: docs/measurements.md.
SMALL_FACE = 0.55
MIN_PICTURE_PX = 96


def find_face_to_crop(
    image: RgbImage, detector: Detector, fast_detector: Detector | None = None
) -> NDArray[np.float32] | None:
    """Find the largest face of a picture if it fills a small part of it, as in a picture of a whole person.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), uint8
    detector : Detector
    fast_detector : Detector, optional
        Faster detector, used first: if it finds a face that fills the picture, `detector` is not used.

    Returns
    -------
    box_xyxy : ndarray of shape (4,), float32, or None
        None if the picture is a face crop already or no face is found.
    """
    if max(image.shape[:2]) < MIN_PICTURE_PX:
        return None
    if fast_detector is not None and _find_largest(image, fast_detector)[1] >= SMALL_FACE:
        return None
    box_xyxy, share = _find_largest(image, detector)
    return box_xyxy if share < SMALL_FACE else None


def _find_largest(image: RgbImage, detector: Detector) -> tuple[NDArray[np.float32] | None, float]:
    """Return the largest face and its share of the picture's longer side, 0 if there is none."""
    boxes = detector.detect(image).boxes_xyxy
    if len(boxes) == 0:
        return None, 0.0
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    largest = int(sides.argmax())
    return boxes[largest], float(sides[largest]) / max(image.shape[:2])


def crop_to_face(image: RgbImage, box_xyxy: NDArray[np.float32] | None) -> RgbImage:
    """Crop an image to a face; return the whole image if there is no box."""
    return image if box_xyxy is None else crop_square(image, box_xyxy)
