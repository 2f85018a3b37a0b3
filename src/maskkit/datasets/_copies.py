"""Which images show the same: exact copies and near ones."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pairs: TypeAlias = NDArray[np.int64]
Near: TypeAlias = Callable[[slice], NDArray[np.bool_]]

_BLOCK = 1024


def find_near_hashes(hashes: NDArray[np.uint64], mirrored: NDArray[np.uint64], most_bits: int) -> Pairs:
    """Find pairs whose perceptual hashes differ in few bits, as they are or one of them mirrored.

    Parameters
    ----------
    hashes, mirrored : ndarray of shape (n_images,), uint64
        Of each image and of its mirror image.
    most_bits : int

    Returns
    -------
    pairs : ndarray of shape (n_pairs, 2), int64
        The smaller index first.
    """

    def near(rows: slice) -> NDArray[np.bool_]:
        block = hashes[rows, None]
        apart = np.minimum(np.bitwise_count(block ^ hashes), np.bitwise_count(block ^ mirrored))
        return apart <= most_bits

    return _collect(len(hashes), near)


def find_near_features(features: NDArray[np.float32], least_cosine: float) -> Pairs:
    """Find pairs whose features point the same way, as `find_near_hashes` does."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return _collect(len(unit), lambda rows: unit[rows] @ unit.T >= least_cosine)


def _collect(n_images: int, near: Near) -> Pairs:
    """Compare each block of images with all others; memory is that of one block."""

    def blocks() -> Iterator[Pairs]:
        for start in range(0, n_images, _BLOCK):
            first, second = np.nonzero(near(slice(start, start + _BLOCK)))
            first = first + start
            yield np.column_stack([first, second])[first < second]

    return np.concatenate([np.zeros((0, 2), dtype=np.int64), *blocks()])


def group(pairs: Pairs, n_images: int) -> NDArray[np.int64]:
    """Give each image the number of its group, (n_images,); one of no pair is a group of its own."""
    groups = np.arange(n_images)
    while True:
        lowest = groups.copy()
        np.minimum.at(lowest, pairs[:, 0], groups[pairs[:, 1]])
        np.minimum.at(lowest, pairs[:, 1], groups[pairs[:, 0]])
        lowest = lowest[lowest]
        if np.array_equal(lowest, groups):
            return np.unique(groups, return_inverse=True)[1]
        groups = lowest
