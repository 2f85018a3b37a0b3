"""What is drawn again and again for the intervals: faces, or whole photos."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate
from maskkit.evaluation._metrics import bootstrapped, resample, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resampling:
    """A bootstrap over faces, or over photos with all their faces.

    The faces of one photo are alike, so taking them for independent makes intervals too narrow;
    drawing whole clusters does not. Source: Field and Welsh 2007, "Bootstrapping clustered data",
    J. R. Statist. Soc. B 69, 369-390.

    Parameters
    ----------
    units : ndarray of shape (n_faces,), int64
        What each face is drawn with: itself or its photo, counted from 0 without gaps.
    by_photo : bool
    n_resamples, seed : int
    """

    units: Ints
    by_photo: bool
    n_resamples: int
    seed: int

    @classmethod
    def of(cls, n_faces: int, photos: Ints | None, n_resamples: int, seed: int) -> "Resampling":
        """Resample photos where there are any, else faces."""
        units = np.arange(n_faces) if photos is None else np.unique(photos, return_inverse=True)[1]
        return cls(units, photos is not None, n_resamples, seed)

    def weights(self) -> Iterator[Ints]:
        """Yield how often each face counts, (n_faces,), `n_resamples` times; each call draws alike."""
        rng = np.random.default_rng(self.seed)
        for counts in resample(int(self.units.max()) + 1, self.n_resamples, rng):
            yield counts[self.units]

    def share(self, is_right: NDArray[np.bool_], counts: NDArray[np.bool_], samples: Floats) -> Estimate:
        """Estimate the share of those right among those that count.

        Wilson's interval for independent faces. For photos the bootstrap's; where all are right, or
        none, that has no width, and Wilson's over photos stands in, as if each held one face.
        """
        n_faces, n_right = int(counts.sum()), int((is_right & counts).sum())
        if not self.by_photo or n_faces == 0:
            return wilson(n_right, n_faces)
        if 0 < n_right < n_faces:
            return bootstrapped(n_right / n_faces, samples, n_faces)
        n_photos = len(np.unique(self.units[counts]))
        over_photos = wilson(n_photos if n_right else 0, n_photos)
        return Estimate(over_photos.value, over_photos.low, over_photos.high, n_faces)


def count_cells(
    truths: Ints, said: Ints, groups: Ints, shape: tuple[int, int], weights: NDArray[np.number] | None = None
) -> Floats:
    """Count truths and predictions by group, (n_groups, n_classes, n_classes); shape is (n_groups, n_classes)."""
    n_groups, n_classes = shape
    cells = (groups * n_classes + truths) * n_classes + said
    n_cells = n_groups * n_classes * n_classes
    return np.bincount(cells, weights, n_cells).astype(np.float64).reshape(n_groups, n_classes, n_classes)


def accuracy_of(confusions: Floats) -> Floats:
    """Give the share on the diagonal, (...), NaN where nothing was counted."""
    with np.errstate(invalid="ignore"):
        return np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1))
