"""dlib's convolutional network: more poses than the classic detector, but slow on a CPU."""

import os
from threading import Lock
from typing import Any

import dlib
import numpy as np
from sklearn.base import BaseEstimator

from maskkit._checks.numbers import check_float, check_int
from maskkit._images.load import RgbImage
from maskkit._optional import install_hint
from maskkit.detectors._base import Faces, check_image
from maskkit.detectors._weights import check_weights_file, find_packaged_file, load_once
from maskkit.detectors.dlib_hog import to_faces
from maskkit.exceptions import WeightsError

MIN_FACE_PX = 80


class DlibCnnDetector(BaseEstimator):
    """dlib's max-margin convolutional face detector.

    Parameters
    ----------
    upsample : int, default=1
        Number of times the image is doubled in size first. The smallest face found is 80 px, 40 px, 20 px,
        ... for 0, 1, 2, ...; each doubling takes four times the time and memory.
    threshold : float, default=0.0
        Minimum score of a face. Scores begin at 0 and are mostly near 1.
    weights : path, optional
        Path to the network's file; by default ``mmod_human_face_detector.dat`` (CC0) of the package
        face_recognition_models.

    Notes
    -----
    Source: King: Max-Margin Object Detection, 2015, arXiv:1502.00046.

    Memory and time grow with the doubled image: 1 GB and 10 s per million of its pixels (measured on two
    cores), that is 4 GB for a photo of 1200 x 900 px at ``upsample=1``. Shrink large photos first.
    """

    def __init__(
        self, upsample: int = 1, threshold: float = 0.0, weights: str | os.PathLike[str] | None = None
    ) -> None:
        self.upsample = upsample
        self.threshold = threshold
        self.weights = weights

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
        WeightsError
            If the network's file is missing or is not this network.
        """
        check_image(image)
        upsample = check_int(self.upsample, "upsample", 0)
        threshold = check_float(self.threshold, "threshold")
        network, lock = _load_network(self._weights_path())
        image = _pad(image)
        with lock:
            found = network(image, upsample)
        found = [face for face in found if face.confidence >= threshold]
        return to_faces([face.rect for face in found], [face.confidence for face in found])

    @staticmethod
    def _find_weights() -> str:  # `maskkit checks` calls it, too.
        file = "models/mmod_human_face_detector.dat"
        return find_packaged_file("face_recognition_models", file, hint=install_hint("dlib-cnn"))

    def _weights_path(self) -> str:
        return self._find_weights() if self.weights is None else check_weights_file(self.weights)


def _pad(image: RgbImage) -> RgbImage:
    """Pad with black at the right and bottom until no side is shorter than the smallest face.

    Images of less than 10 px make dlib 20.0 fail or crash the process.
    """
    height_px, width_px = image.shape[:2]
    padding = ((0, max(0, MIN_FACE_PX - height_px)), (0, max(0, MIN_FACE_PX - width_px)), (0, 0))
    return np.ascontiguousarray(np.pad(image, padding))


@load_once
def _load_network(path: str) -> tuple[Any, Lock]:
    """Return the network and a lock for its use: its layers store their outputs in themselves."""
    try:
        return dlib.cnn_face_detection_model_v1(path), Lock()
    except RuntimeError as exc:
        raise WeightsError(f"{path} is not dlib's face detection network ({exc}); check the path.") from exc
