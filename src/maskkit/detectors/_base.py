"""The contract between maskkit and a face detector."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RgbImage = NDArray[np.uint8]


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
