"""Interface of an inference engine."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Computes features of resized images.

    Attributes
    ----------
    n_streams : int
        Number of batches that are best computed concurrently.
    is_reduced : bool
        Whether ``precision="auto"`` chose less than float32, so that close decisions are recomputed.
    """

    n_streams: int
    is_reduced: bool

    def compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute features; safe to call from several threads.

        Parameters
        ----------
        pixels : ndarray of shape (n, S, S, 3), uint8
            RGB, resized.

        Returns
        -------
        features : ndarray of shape (n, n_features), float32
        """
        ...
