"""Density of the features of faces, to recognize images that show none."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from maskkit._files.tensors import Shapes

MIN_FACES = 200
"""Number of faces from which a density is fitted; a limit that one face in a hundred exceeds needs as many."""

# With 16 to 256 components, 64 separate faces from other crops nearly as well as more do: docs/measurements.md.
_N_COMPONENTS = 64
_EXCEEDED_BY = 0.01
# As a share of the largest variance.
_MIN_VARIANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class FaceDensity:
    """A Gaussian density of the features of faces, by probabilistic principal component analysis.

    Source: Tipping and Bishop 1999, "Probabilistic principal component analysis", J. R. Statist. Soc. B 61.

    `mean` is (n_features,), `components` (n_components, n_features) are the directions of the largest variances, of
    length 1, and `variances` (n_components,) are those along them. `noise_and_limit` (2,) is the mean variance along
    all other directions, and the distance that one face in a hundred exceeds. Variances are small, and models that are
    saved in half precision keep float64.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variances: NDArray[np.float64]
    noise_and_limit: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[np.float32]) -> Self | None:
        """Fit the density to one half of the features of faces (n_faces, n_features), and the limit to the other.

        None if there are too few faces, or they are all alike.
        """
        if len(features) < MIN_FACES:
            return None
        fitted, measured = features[0::2].astype(np.float64), features[1::2]
        mean = fitted.mean(axis=0)
        _, scales, directions = np.linalg.svd(fitted - mean, full_matrices=False)
        variances = scales**2 / len(fitted)
        if not variances[0] > 0:
            return None
        # Features of drawings may fill a few directions only. Along the others there is nothing but rounding errors.
        n_components = min(_N_COMPONENTS, int((variances > _MIN_VARIANCE * variances[0]).sum()), features.shape[1] - 1)
        noise = variances[n_components:].sum() / (features.shape[1] - n_components)
        noise = max(noise, _MIN_VARIANCE * variances[0])
        principal = directions[:n_components].astype(np.float32)
        density = cls(mean.astype(np.float32), principal, variances[:n_components], np.array([noise, np.inf]))
        density.noise_and_limit[1] = np.quantile(density.measure_distances(measured), 1 - _EXCEEDED_BY)
        return density

    def measure_distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the squared Mahalanobis distance of each row of features (n, n_features)."""
        centered = features.astype(np.float64) - self.mean
        along = centered @ self.components.T
        rest = ((centered - along @ self.components) ** 2).sum(axis=1)
        distances: NDArray[np.float64] = (along**2 / self.variances).sum(axis=1) + rest / self.noise_and_limit[0]
        return distances

    def are_faces(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return whether each row of features is within the limit; NaN is not."""
        return np.asarray(self.measure_distances(features) <= self.noise_and_limit[1])

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Return the arrays as tensors by name."""
        return {name: torch.from_numpy(array) for name, array in zip(self.__slots__, astuple(self), strict=True)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> Self | None:
        """Return the density of tensors by name; None if there are none."""
        return cls(*(tensors[name].numpy() for name in cls.__slots__)) if tensors else None

    @classmethod
    def wanted_shapes(cls, shapes: Shapes, n_features: int) -> Shapes:
        """Return the shapes that the tensors of a density must have if there are any, for those that there are."""
        if not shapes:
            return {}
        n_components = next(iter(shapes.get("variances", ())), _N_COMPONENTS)
        each = ((n_features,), (n_components, n_features), (n_components,), (2,))
        return dict(zip(cls.__slots__, each, strict=True))
