"""The contract of an engine: who multiplies."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Turns resized pixels into features.

    Attributes
    ----------
    n_streams : int
        Batches that are best computed at the same time.
    is_rounded : bool
        Features are less exact than float32, and nobody asked for that outright.
    """

    n_streams: int
    is_rounded: bool

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
