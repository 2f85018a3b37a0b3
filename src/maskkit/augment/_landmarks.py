"""Where the eyes, the nose and the mouth are in a face crop."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector


def vector(*values: float) -> NDArray[np.float32]:
    """Make a float32 array of numbers."""
    return np.array(values, dtype=np.float32)


TEMPLATE = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.66, 0.78]], dtype=np.float32)
"""Left eye, right eye, nose, left and right mouth corner as shares of a tight crop's width and height: the
medians of CenterFace's over 300 bare crops of face-mask-12k."""

# Detectors want something around a face; so much is added on each side.
_PADDING = 0.25


def find_landmarks(images: Sequence[RgbImage], detector: Detector | None = None) -> list[NDArray[np.float32]]:
    """Find the landmarks of face crops.

    Parameters
    ----------
    images : sequence of ndarray of shape (H, W, 3), uint8
        One face each.
    detector : Detector, optional
        One that gives five landmarks; by default CenterFace at 256 px.

    Returns
    -------
    landmarks : list of ndarray of shape (5, 2), float32
        x and y in pixels: left eye, right eye, nose, left and right corner of the mouth, as seen in the
        image. Of the largest face; where none is found, where landmarks usually are (`TEMPLATE`).
    """
    if detector is None:
        from maskkit.detectors.centerface import CenterFaceDetector

        detector = CenterFaceDetector(long_side_px=256)
    usual = (TEMPLATE * vector(image.shape[1], image.shape[0]) for image in images)
    found = (find_points(image, detector) for image in images)
    return [points if points is not None else default for points, default in zip(found, usual, strict=True)]


def find_points(image: RgbImage, detector: Detector) -> NDArray[np.float32] | None:
    """Find the landmarks of one crop, as `find_landmarks` does; None where no face is found."""
    height, width = image.shape[:2]
    margin = round(_PADDING * max(height, width))
    faces = detector.detect(np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    if len(faces) == 0 or faces.landmarks is None or faces.landmarks.shape[1] != 5:
        return None
    sizes = (faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).prod(axis=1)
    return np.asarray(faces.landmarks[sizes.argmax()] - margin, dtype=np.float32)
