"""Limits of similarity: above them, two images of a set are copies of one picture."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Similarity = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Function that returns the similarity of the images in these rows to all images, shape (n_rows, n_images)."""

# Number of pairs of different images that may be above the limit in the whole set, on average: this share of all pairs,
# within bounds. The share and the bounds were chosen on subsets of face-mask-12k, where the real tail is lighter than
# the fitted one (benchmarks/duplicates.py).
_EXPECTED_SHARE, _EXPECTED_PAIRS = 1e-8, (0.0003, 1.0)
# The tail of the distribution is fitted between these numbers of pairs per image. The most similar pairs are left out,
# because they may be copies.
_PAIRS_PER_IMAGE = (3, 20)
# The distribution is estimated from about so many pairs, so that memory does not grow with the square of the set.
_MAX_SAMPLE = 8_000_000
# A smaller set has too few pairs for an estimate.
MIN_IMAGES = 30
# The nearest neighbors that are left out, as copies are among them, and those that are averaged.
_N_COPIES, _N_NEIGHBORS = 4, 20
# Rows of the similarity matrix that are computed at once.
BLOCK = 1024


def estimate_limit(similarity: Similarity, n_images: int) -> float:
    """Estimate the similarity that pairs of different images of this set do not reach.

    Most pairs of a set show different pictures. The upper tail of their similarities is fitted by that of a normal
    distribution, and extrapolated to the value above which hardly any pair of the whole set is expected.
    """
    n_rows = min(n_images, -(-_MAX_SAMPLE // n_images))
    rows = np.linspace(0, n_images - 1, n_rows).astype(np.int64)
    sample = np.concatenate([similarity(block) for block in np.array_split(rows, -(-n_rows // BLOCK))])
    # Every image is most similar to itself.
    others = sample[np.arange(n_images) != rows[:, None]]
    n_pairs = n_images * (n_images - 1) / 2
    low, high = _PAIRS_PER_IMAGE
    ranks = np.geomspace(min(low * n_images, n_pairs / 12), min(high * n_images, n_pairs / 3), 50)
    quantiles = np.quantile(others, 1 - ranks / n_pairs)
    slope, level = np.polyfit(norm.isf(ranks / n_pairs), quantiles, 1)
    expected = np.clip(n_pairs * _EXPECTED_SHARE, *_EXPECTED_PAIRS)
    return float(level + slope * norm.isf(expected / n_pairs))


def find_levels(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean cosine of each image to its near neighbors, without the nearest, shape (n_images,).

    A face with sunglasses is close to all faces with sunglasses. The cosine of two images minus their mean level tells
    whether they are closer than such neighbors. Source: cross-domain similarity local scaling, Conneau et al., Word
    Translation Without Parallel Data, 2018.
    """
    n_neighbors = min(_N_NEIGHBORS, len(unit) - 1)
    n_left_out = min(_N_COPIES, n_neighbors - 1)
    levels = np.empty(len(unit), dtype=np.float32)
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        # An image is no neighbor of itself.
        np.put_along_axis(cosines, start + np.arange(len(cosines))[:, None], -np.inf, axis=1)
        nearest = -np.partition(-cosines, n_neighbors - 1, axis=1)[:, :n_neighbors]
        levels[start : start + BLOCK] = np.sort(nearest, axis=1)[:, : n_neighbors - n_left_out].mean(axis=1)
    return levels
