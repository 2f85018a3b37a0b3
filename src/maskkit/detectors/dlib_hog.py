"""dlib's classic detector: frontal, bare faces from about 40 px on."""

from functools import cache
from numbers import Integral
from threading import Lock
from typing import Any

import dlib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_scalar

from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces
from maskkit.detectors._dlib import to_faces
from maskkit.detectors._pixels import check_image


class DlibHogDetector(BaseEstimator):
    """dlib's frontal face detector: histograms of oriented gradients and a linear classifier.

    Parameters
    ----------
    upsample : int, default=1
        How often the image is doubled in size before; the smallest face found is 80 px, 40 px, 20 px,
        ... for 0, 1, 2, ... Each doubling takes four times the time.
    threshold : float, default=0.0
        Lowest score of a face; scores have no fixed range, 0 is the classifier's own border.

    Notes
    -----
    Source: Dalal, Triggs: Histograms of Oriented Gradients for Human Detection, 2005; King: Max-Margin
    Object Detection, 2015, arXiv:1502.00046. It knows bare faces: on photos of crowds with masks it
    finds one face of nine.
    """

    def __init__(self, upsample: int = 1, threshold: float = 0.0) -> None:
        self.upsample = upsample
        self.threshold = threshold

    def detect(self, image: RgbImage) -> Faces:
        """Find the faces in an image. Threads may call it; they take turns.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.

        Returns
        -------
        faces : Faces
            By falling score, without landmarks.

        Raises
        ------
        ValueError
            If `image` has another shape or dtype, or `upsample` is negative.
        """
        check_image(image)
        check_scalar(self.upsample, "upsample", Integral, min_val=0)
        detector, turn = _load_detector()
        with turn:
            rectangles, scores, _ = detector.run(np.ascontiguousarray(image), self.upsample, float(self.threshold))
        return to_faces(rectangles, scores)


@cache
def _load_detector() -> tuple[Any, Lock]:
    """Give dlib's detector and the lock to use it under: it keeps the image's pyramid inside."""
    return dlib.get_frontal_face_detector(), Lock()
