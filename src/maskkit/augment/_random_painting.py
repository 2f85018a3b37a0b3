"""Random choice of what is painted on training faces; `_masks` and `_occluders` draw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import RgbImage
from maskkit._labels import INCORRECT, MASKED, UNMASKED, meaning_of
from maskkit.augment import paint_mask, paint_occluder
from maskkit.augment._occluders import OVER_MASKS

# Fractions of the unmasked faces in each epoch, chosen on held-out data: docs/measurements.md.
MASKED_SHARE = 0.25
INCORRECT_SHARE = 0.1
OCCLUDED_SHARE = 0.3
# Fraction of the masked faces, painted ones included. Without it, any occluder would indicate an unmasked face.
MASKED_OCCLUDED_SHARE = 0.3


@dataclass
class RandomPainting:
    """Paints masks and occluders on random faces during training.

    Otherwise, a model might learn the class from the source of the photos. The attributes are the indices of the
    classes; there may be none of incorrectly worn masks.
    """

    unmasked: int
    masked: int
    incorrect: int | None = None

    @classmethod
    def for_classes(cls, classes: Sequence[Any]) -> Self | None:
        """Return the painting for classes; None unless they mean unmasked, masked and at most worn incorrectly."""
        meanings = [meaning_of(label) for label in classes]
        if None in meanings or len(set(meanings)) < len(meanings) or not {UNMASKED, MASKED} <= set(meanings):
            return None
        incorrect = meanings.index(INCORRECT) if INCORRECT in meanings else None
        return cls(meanings.index(UNMASKED), meanings.index(MASKED), incorrect)

    def paint(
        self, image: RgbImage, landmarks: NDArray[np.float32], target: int, rng: np.random.Generator
    ) -> tuple[RgbImage, int]:
        """Paint on a face at random; return the picture and the class that it shows."""
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
        # Without a class of incorrectly worn masks, their share of the faces stays unpainted.
        draw -= INCORRECT_SHARE
        if 0 <= draw < OCCLUDED_SHARE:
            return paint_occluder(image, landmarks, random_state=rng), self.unmasked
        return image, self.unmasked

    def balance(self, weights: NDArray[Any], paintable: float) -> NDArray[np.float64]:
        """Return the factors that restore the weight of each class after painting.

        `weights` (n_classes,) is the total weight of the images of each class, and `paintable` that of the unmasked
        images on which masks can be painted.
        """
        # The expected weight of the pictures that show each class, from which the factors follow.
        shown = np.array(weights, dtype=np.float64)
        for painted, share in ((self.masked, MASKED_SHARE), (self.incorrect, INCORRECT_SHARE)):
            if painted is not None:
                shown[painted] += share * paintable
                shown[self.unmasked] -= share * paintable
        return np.divide(weights, shown, out=np.ones_like(shown), where=shown > 0)
