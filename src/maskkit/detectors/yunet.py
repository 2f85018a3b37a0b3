"""YuNet: a network of 0.2 MB, in OpenCV."""

import os
from threading import Lock
from typing import Any

import cv2
import numpy as np
from sklearn.base import BaseEstimator

from maskkit._checks.numbers import check_float
from maskkit._files.download import download
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces, check_image, resize_long_side
from maskkit.detectors._weights import check_weights_file, load_once
from maskkit.exceptions import WeightsError

WEIGHTS_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
WEIGHTS_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


class YuNetDetector(BaseEstimator):
    """YuNet in OpenCV.

    Parameters
    ----------
    long_side_px : int, default=800
        Longer side to which images are enlarged or shrunk, at least 32. Larger values find smaller faces
        and take longer.
    threshold : float, default=0.6
        Minimum score of a face, 0 to 1.
    nms_iou : float, default=0.3
        Intersection over union, 0 to 1, above which the lower-scoring of two overlapping boxes is dropped
        (non-maximum suppression).
    weights : path, optional
        Path to the network as an ONNX file. By default ``face_detection_yunet_2023mar.onnx`` (MIT) of
        OpenCV's model zoo is downloaded on first use, checked, and kept in the folder of `torch.hub`.

    Notes
    -----
    Source: Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20,
    2023, doi:10.1007/s11633-023-1423-y.
    """

    def __init__(
        self,
        long_side_px: int = 800,
        threshold: float = 0.6,
        nms_iou: float = 0.3,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        self.long_side_px = long_side_px
        self.threshold = threshold
        self.nms_iou = nms_iou
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
            In order of decreasing score, with five landmarks. Scores are 0 to 1.

        Raises
        ------
        ValueError
            If `image` has another shape or dtype, or a parameter is out of its range.
        WeightsError
            If the network's file is missing, cannot be downloaded or is not this network.
        """
        check_image(image)
        threshold = check_float(self.threshold, "threshold", 0, 1)
        nms_iou = check_float(self.nms_iou, "nms_iou", 0, 1)
        resized, scale_xy = resize_long_side(image, self.long_side_px)
        network, lock = _load_network(self._weights_path())
        with lock:
            network.setInputSize((resized.shape[1], resized.shape[0]))
            network.setScoreThreshold(threshold)
            network.setNMSThreshold(nms_iou)
            _, found = network.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        # A row holds x, y, width and height of the box; x and y of five landmarks in the order that `Faces`
        # wants; the score. Without any face, `found` is None.
        rows = np.empty((0, 15), np.float32) if found is None else found
        corners, sizes = rows[:, :2] / scale_xy, rows[:, 2:4] / scale_xy
        landmarks = rows[:, 4:14].reshape(-1, 5, 2) / scale_xy
        return Faces(np.concatenate([corners, corners + sizes], axis=1), rows[:, 14].copy(), landmarks)

    def _weights_path(self) -> str:
        if self.weights is not None:
            return check_weights_file(self.weights)
        return str(download(WEIGHTS_URL, WEIGHTS_SHA256, hint="download the file elsewhere and pass it: weights=PATH"))


@load_once
def _load_network(path: str) -> tuple[Any, Lock]:
    """Return the network and a lock for its use: it stores the size and thresholds of a call in itself."""
    try:
        network = cv2.FaceDetectorYN.create(path, "", (32, 32))
        network.detect(np.zeros((32, 32, 3), np.uint8))  # OpenCV reports a missing output only here.
        return network, Lock()
    except cv2.error as exc:
        raise WeightsError(f"{path} is not YuNet's ONNX file ({exc}); check the path.") from exc
