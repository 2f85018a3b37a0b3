"""The whole image as one face."""

import numpy as np
from sklearn.base import BaseEstimator

from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces
from maskkit.detectors._pixels import check_image


class WholeImageDetector(BaseEstimator):
    """Takes every image for one face; for images that were cropped before."""

    def detect(self, image: RgbImage) -> Faces:
        """Give one box around the whole image, with score 1.

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
