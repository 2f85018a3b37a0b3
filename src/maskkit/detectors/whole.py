"""The whole image as one face."""

import numpy as np
from sklearn.base import BaseEstimator

from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces, check_image


class WholeImageDetector(BaseEstimator):
    """A detector that treats the whole image as one face, for images that are face crops already."""

    def detect(self, image: RgbImage) -> Faces:
        """Return one box around the whole image, with score 1.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB.

        Returns
        -------
        faces : Faces
            One face, without landmarks.

        Raises
        ------
        ValueError
            If `image` has another shape or dtype.
        """
        check_image(image)
        height_px, width_px = image.shape[:2]
        return Faces(np.array([[0, 0, width_px, height_px]], np.float32), np.ones(1, np.float32))
