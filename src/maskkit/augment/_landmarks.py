"""Landmarks of face crops: eyes, nose and mouth corners."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import cut
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Detector, check_faces


def vector(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


TEMPLATE = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.66, 0.78]], dtype=np.float32)
"""Left eye, right eye, nose, left and right mouth corner as fractions of the width and height of a tight crop:
the medians of CenterFace's landmarks over 300 unmasked crops of face-mask-12k."""

# Detectors need context around a face: this fraction of the longer side is added on each side.
_PADDING = 0.25


def find_landmarks(images: Iterable[RgbImage], detector: Detector | None = None) -> list[NDArray[np.float32]]:
    """Detect the landmarks of face crops.

    Parameters
    ----------
    images : iterable of ndarray of shape (H, W, 3), uint8
        Crops of one face each.
    detector : Detector, optional
        Detector that returns five landmarks. By default `MaskkitDetector` at 256 px.

    Returns
    -------
    landmarks : list of ndarray of shape (5, 2), float32
        x and y in pixels: left eye, right eye, nose, left and right corner of the mouth, as seen in the
        image, of the largest face. Without a face, the usual positions (`TEMPLATE`).
    """
    if detector is None:
        from maskkit.detectors.maskkit import MaskkitDetector

        detector = MaskkitDetector(long_sides_px=256)
    landmarks = []
    for image in images:
        points = find_points(image, detector)
        landmarks.append(TEMPLATE * vector(image.shape[1], image.shape[0]) if points is None else points)
    return landmarks


def find_points(image: RgbImage, detector: Detector) -> NDArray[np.float32] | None:
    """Return the landmarks of one crop, or None if no face is detected."""
    height, width = image.shape[:2]
    margin = round(_PADDING * max(height, width))
    padded = cut(image, -margin, -margin, width + 2 * margin, height + 2 * margin)
    faces = check_faces(detector.detect(padded), type(detector).__name__, padded)
    if len(faces) == 0 or faces.landmarks is None or faces.landmarks.shape[1] != 5:
        return None
    sizes = (faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).prod(axis=1)
    return np.asarray(faces.landmarks[sizes.argmax()] - margin, dtype=np.float32)
