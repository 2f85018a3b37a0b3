"""Interface of an inference engine."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Computes features of resized images.

    `n_streams` is the number of batches that are best computed concurrently, and `batch_size` the number of images in
    each, unless the user chose another. `is_reduced` says whether ``precision="auto"`` chose less than float32, so that
    close decisions are recomputed.
    """

    n_streams: int
    batch_size: int
    is_reduced: bool

    def compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (n, n_features) of RGB pixels (n, S, S, 3); safe to call from several threads."""
        ...
