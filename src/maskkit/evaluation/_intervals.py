"""95 % intervals: Wilson intervals, bootstrap, and their combination."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from maskkit._display.tables import Estimate
from maskkit._images.prefetch import in_batches
from maskkit._metrics.scores import Bools, Floats, Ints, wilson

Key = TypeVar("Key")

# Number of bootstrap samples that are multiplied at once: fast, and small enough for 100,000 faces.
_N_AT_ONCE = 64


def bootstrapped(value: float, samples: Floats, n: int) -> Estimate:
    """Estimate a metric with the percentile interval of its bootstrap samples, except those in which it is NaN.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3. A metric of 0 or 1 that no
    sample changes has the Wilson interval of a proportion of n cases.
    """
    known = samples[~np.isnan(samples)]
    if np.isnan(value) or known.size == 0:
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.percentile(known, [2.5, 97.5])
    if low == high == value and value in (0, 1):
        # Resampling cases without mistakes never gives a mistake, however few there are.
        return wilson(value * n, n)
    return Estimate(float(value), float(low), float(high), n)


def resample(n: int, n_resamples: int, rng: np.random.Generator) -> Iterable[Ints]:
    """Iterate over bootstrap samples of n cases: how often each case is drawn."""
    for _ in range(n_resamples):
        yield np.bincount(rng.integers(0, n, n), minlength=n)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Estimate the difference of two metrics of independent samples.

    The interval is computed from theirs: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17, 873-890, method 10; for metrics other than proportions Zou and Donner 2008,
    "Construction of confidence limits about effect measures", Statistics in Medicine 27, 1693-1702.
    """
    value = first.value - second.value
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, float(low), float(high), min(first.n, second.n))


def mean_share(shares: Iterable[Estimate]) -> Estimate:
    """Estimate the mean of proportions, such as the recalls of classes; those without cases are left out.

    The interval is computed from theirs, as for a difference (Zou and Donner 2008, see `difference`), so it has a
    width even if all proportions are 1.
    """
    known = [share for share in shares if share.n]
    if not known:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value = float(np.mean([share.value for share in known]))
    below = np.linalg.norm([share.value - share.low for share in known]) / len(known)
    above = np.linalg.norm([share.high - share.value for share in known]) / len(known)
    return Estimate(value, float(value - below), float(value + above), sum(share.n for share in known))


class Resampling:
    """A bootstrap over faces, or over photos with all their faces.

    `photos` are the indices of the photos of the faces (n_faces,); None for a bootstrap over faces. The faces of one
    photo are similar. Treating them as independent makes intervals too narrow; drawing whole photos does not. Source:
    Field and Welsh 2007, "Bootstrapping clustered data", J. R. Statist. Soc. B 69, 369-390.
    """

    def __init__(self, n_faces: int, photos: Ints | None, n_resamples: int, seed: int):
        # The unit that each face is drawn with, itself or its photo, from 0 without gaps.
        self.units = np.arange(n_faces) if photos is None else np.unique(photos, return_inverse=True)[1]
        self.n_photos = None if photos is None else int(self.units.max()) + 1
        self.n_resamples, self.seed = n_resamples, seed

    def weights(self) -> Iterator[Ints]:
        """Iterate over the number of times each face is drawn, (n_faces,); each call gives the same samples."""
        rng = np.random.default_rng(self.seed)
        for counts in resample(int(self.units.max()) + 1, self.n_resamples, rng):
            yield counts[self.units]

    def shares(self, is_correct: Bools, groups: Mapping[Key, Bools]) -> dict[Key, Estimate]:
        """Estimate the proportion of correct faces in each group of faces, (n_faces,).

        The interval is a Wilson interval for independent faces, and a bootstrap interval for photos. If all faces or
        none are correct, the bootstrap interval has no width, and is replaced by the Wilson interval over photos, as if
        each contained one face.
        """
        if self.n_photos is None:
            return {key: wilson((is_correct & group).sum(), group.sum()) for key, group in groups.items()}
        members = np.stack(list(groups.values()), axis=1).astype(np.float64)
        correct = members * is_correct[:, None]
        both = np.hstack([correct, members])
        counted = np.concatenate([np.array(batch) @ both for batch in in_batches(self.weights(), _N_AT_ONCE)])
        with np.errstate(invalid="ignore"):
            samples = counted[:, : len(groups)] / counted[:, len(groups) :]
        return {
            key: self._share(is_correct[group], self.units[group], samples[:, column])
            for column, (key, group) in enumerate(groups.items())
        }

    def _share(self, is_correct: Bools, photos: Ints, samples: Floats) -> Estimate:
        n_faces, n_correct = len(is_correct), int(is_correct.sum())
        if 0 < n_correct < n_faces:
            return bootstrapped(n_correct / n_faces, samples, n_faces)
        n_photos = len(np.unique(photos))
        return replace(wilson(n_photos if n_correct else 0, n_photos), n=n_faces)
