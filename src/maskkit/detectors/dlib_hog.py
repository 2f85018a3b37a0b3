"""dlib's classic detector: frontal, unmasked faces of at least 40 px."""

from collections.abc import Iterable
from functools import cache
from threading import Lock
from typing import Any

import dlib
import numpy as np
from sklearn.base import BaseEstimator

from maskkit._checks.numbers import check_float, check_int
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces, check_image


class DlibHogDetector(BaseEstimator):
    """dlib's frontal face detector: histograms of oriented gradients and a linear classifier.

    Parameters
    ----------
    upsample : int, default=1
        Number of times the image is doubled in size first. The smallest face found is 80 px, 40 px, 20 px,
        ... for 0, 1, 2, ...; each doubling takes four times as long.
    threshold : float, default=0.0
        Minimum score of a face. Scores have no fixed range; 0 is the decision boundary of the classifier.

    Notes
    -----
    Source: Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, 2005; King: Max-Margin
    Object Detection, 2015, arXiv:1502.00046. It was trained on unmasked faces: on photos of crowds with
    masks it finds one face of nine.
    """

    def __init__(self, upsample: int = 1, threshold: float = 0.0) -> None:
        self.upsample = upsample
        self.threshold = threshold

    def detect(self, image: RgbImage) -> Faces:
        """Detect the faces in an image. Safe to call from several threads, which take turns.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.

        Returns
        -------
        faces : Faces
            In order of decreasing score, without landmarks.

        Raises
        ------
        ValueError
            If `image` has another shape or dtype, or `upsample` is negative.
        """
        check_image(image)
        upsample = check_int(self.upsample, "upsample", 0)
        threshold = check_float(self.threshold, "threshold")
        detector, lock = _load_detector()
        with lock:
            rectangles, scores, _ = detector.run(np.ascontiguousarray(image), upsample, threshold)
        return to_faces(rectangles, scores)


def to_faces(rectangles: Iterable[Any], scores: Iterable[float]) -> Faces:
    """Convert dlib's rectangles, which include their last row and column, to `Faces`."""
    boxes = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in rectangles]
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.array(list(scores), np.float32))


@cache
def _load_detector() -> tuple[Any, Lock]:
    """Return dlib's detector and a lock for its use: it stores the pyramid of the image in itself."""
    return dlib.get_frontal_face_detector(), Lock()
