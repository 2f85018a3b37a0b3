"""The contract between maskkit and a face detector."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import RgbImage
from maskkit.exceptions import PluginError


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces found in one image.

    Parameters
    ----------
    boxes_xyxy : ndarray of shape (n_faces, 4), float32
        Left, top, right, bottom in pixels of the image; right and bottom exclusive. Boxes may
        reach over the image's edge.
    scores : ndarray of shape (n_faces,), float32
        The detector's own score of each face; higher is surer.
    landmarks : ndarray of shape (n_faces, n_points, 2), float32, optional
        x and y of each point in pixels. Detectors of five points give them in the order left eye,
        right eye, nose, left and right mouth corner, as seen in the image.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


class Detector(Protocol):
    """Finds faces; any object with this method serves, it need not derive from anything."""

    def detect(self, image: RgbImage) -> Faces:
        """Find the faces in an image.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright.

        Returns
        -------
        faces : Faces
            Empty arrays when there is none.
        """
        ...


def check_faces(faces: Any, detector: str, image: RgbImage) -> Faces:
    """Check what a detector gave, and give it with the right dtypes.

    Parameters
    ----------
    faces : Faces
        Any object with `boxes_xyxy` and `scores`, and `landmarks` or not.
    detector : str
        What an error calls the detector.
    image : ndarray of shape (H, W, 3), uint8
        The image that it was shown.

    Raises
    ------
    PluginError
        If members are missing, shapes disagree, values are not finite, or a box is turned over or outside the image.
    """
    try:
        boxes = np.asarray(faces.boxes_xyxy, dtype=np.float32)
        scores = np.asarray(faces.scores, dtype=np.float32)
        landmarks = getattr(faces, "landmarks", None)
        landmarks = None if landmarks is None else np.asarray(landmarks, dtype=np.float32)
    except (AttributeError, TypeError, ValueError) as exc:
        raise PluginError(
            f"detector {detector}: detect() gave {type(faces).__name__} ({exc}); want Faces(boxes_xyxy, scores)."
        ) from exc
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes),):
        raise PluginError(
            f"detector {detector}: boxes_xyxy has shape {boxes.shape} and scores {scores.shape}; want (n, 4) and (n,)."
        )
    if landmarks is not None and (landmarks.ndim != 3 or landmarks.shape[::2] != (len(boxes), 2)):
        raise PluginError(f"detector {detector}: landmarks has shape {landmarks.shape}; want (n, n_points, 2).")
    points = np.zeros(0) if landmarks is None else landmarks
    if not all(np.isfinite(values).all() for values in (boxes, scores, points)):
        raise PluginError(
            f"detector {detector}: boxes_xyxy, scores or landmarks hold NaN or infinity; want finite numbers."
        )
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise PluginError(
            f"detector {detector}: a box has right <= left or bottom <= top; want left, top, right, bottom."
        )
    height, width = image.shape[:2]
    outside = (boxes[:, :2] >= (width, height)).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if outside.any():
        raise PluginError(
            f"detector {detector}: the box {boxes[outside][0].round(1).tolist()} lies outside the image of "
            f"{width} x {height} px; want pixels of that image."
        )
    return Faces(boxes, scores, landmarks)
