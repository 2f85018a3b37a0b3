"""Training faces that the data lack: unmasked ones with painted masks, and faces with what is none."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import RgbImage
from maskkit._labels import INCORRECT, MASKED, UNMASKED, meaning_of
from maskkit.augment import paint_mask, paint_occluder
from maskkit.augment._occluders import OVER_MASKS

# Of the unmasked faces, in each epoch. Chosen on data that training did not see: docs/measurements.md.
MASKED_SHARE = 0.25
INCORRECT_SHARE = 0.1
OCCLUDED_SHARE = 0.3
# Of the masked faces, painted ones too: or whatever hides a part of a face would speak for a unmasked one.
MASKED_OCCLUDED_SHARE = 0.3


class Painter:
    """Paints on faces while a network trains, so that no class is tied to the source of its photos.

    Parameters
    ----------
    unmasked, masked : int
        Index of each class.
    incorrect : int, optional
        Index of the class of masks worn under the nose or the chin, where there is one.
    """

    def __init__(self, unmasked: int, masked: int, incorrect: int | None = None):
        self.unmasked = unmasked
        self.masked = masked
        self.incorrect = incorrect

    @classmethod
    def of(cls, classes: Sequence[Any]) -> Self | None:
        """Build the painter for classes; None unless they mean unmasked, masked and at most worn incorrectly."""
        meanings = [meaning_of(label) for label in classes]
        if None in meanings or len(set(meanings)) < len(meanings) or not {UNMASKED, MASKED} <= set(meanings):
            return None
        incorrect = meanings.index(INCORRECT) if INCORRECT in meanings else None
        return cls(meanings.index(UNMASKED), meanings.index(MASKED), incorrect)

    def paint(
        self, image: RgbImage, landmarks: NDArray[np.float32], target: int, rng: np.random.Generator
    ) -> tuple[RgbImage, int]:
        """Paint on a face, or leave it, as `rng` decides; give the picture and what it shows now."""
        if target == self.unmasked:
            image, target = self._paint_unmasked(image, landmarks, rng)
        if target == self.masked and rng.random() < MASKED_OCCLUDED_SHARE:
            kind = OVER_MASKS[rng.integers(len(OVER_MASKS))]
            image = paint_occluder(image, landmarks, kind=kind, random_state=rng)
        return image, target

    def _paint_unmasked(
        self, image: RgbImage, landmarks: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[RgbImage, int]:
        draw = rng.random()
        if draw < MASKED_SHARE:
            return paint_mask(image, landmarks, random_state=rng), self.masked
        draw -= MASKED_SHARE
        if self.incorrect is not None and draw < INCORRECT_SHARE:
            worn = ("under_nose", "under_chin")[rng.integers(2)]
            return paint_mask(image, landmarks, worn=worn, random_state=rng), self.incorrect
        draw -= INCORRECT_SHARE
        if 0 <= draw < OCCLUDED_SHARE:
            return paint_occluder(image, landmarks, random_state=rng), self.unmasked
        return image, self.unmasked

    def balance(self, weights: NDArray[Any], paintable: float) -> NDArray[np.float64]:
        """Give the factors by which each class counts as much as before painting.

        Parameters
        ----------
        weights : ndarray of shape (n_classes,)
            What the images of each class weigh together.
        paintable : float
            What those unmasked ones weigh that can be painted on.
        """
        shown = np.array(weights, dtype=np.float64)
        for painted, share in ((self.masked, MASKED_SHARE), (self.incorrect, INCORRECT_SHARE)):
            if painted is not None:
                shown[painted] += share * paintable
                shown[self.unmasked] -= share * paintable
        return np.divide(weights, shown, out=np.ones_like(shown), where=shown > 0)
