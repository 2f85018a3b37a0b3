"""Duplicates that the audit finds in random subsets of face-mask-12k, compared with the names of the augmented images.

Usage: python -m benchmarks.duplicates FACE_MASK_12K [SIZE:N_SUBSETS ...]

Images named Augmented_7_*.png were made from the same photo. A pair of them is true. A pair with an unmasked face shows
different people and is invented. Other pairs of masked faces may be either, because one photo was often downloaded
twice, under two numbers. Prints a table for docs/measurements.md.
"""

import re
import sys
from pathlib import Path

import numpy as np

from maskkit._model.embedder import FaceEmbedder
from maskkit.datasets import load_faces
from maskkit.datasets._audit import FEATURES_PX
from maskkit.datasets._audit_checks import find_duplicates, group_duplicates, measure_image

SUBSETS = ("30:20", "100:20", "500:10", "520:10", "600:10", "1000:10", "2500:4", "5800:1")
HEADER = "| Images | Subsets | Pairs found | Same photo | Masked, no common name | Different people | Missed | Found |"


def main(folder: str, *subsets: str) -> None:
    """Print the table."""
    faces = [split for _, split in sorted(load_faces(folder, shuffle=False).splits.items())]
    paths = [path for split in faces for path in split.paths]
    is_unmasked = np.concatenate([split.labels for split in faces]) == "WithoutMask"
    photos = np.array([number_photo(path) for path in paths])
    traits = [measure_image(index, path) for index, path in enumerate(paths)]
    features = FaceEmbedder("efficientnet_lite0", image_size=FEATURES_PX, precision="float32").fit_transform(paths)
    print(HEADER, "|---" * 8 + "|", sep="\n")
    for subset in subsets or SUBSETS:
        size, n_subsets = map(int, subset.split(":"))
        counts = np.zeros(5, dtype=int)
        for seed in range(n_subsets):
            rows = np.sort(np.random.default_rng(seed).permutation(len(paths))[:size])
            pairs = find_duplicates([traits[row] for row in rows], features[rows])
            counts += count(pairs, photos[rows], is_unmasked[rows])
        found, true, unknown, invented, n_true = counts.tolist()
        recall = f"{true / n_true:.2f}" if n_true else "-"
        cells = (f"{size:,}", n_subsets, found, true, unknown, invented, n_true - true, recall)
        print("| " + " | ".join(map(str, cells)) + " |")
        print_groups(pairs, size, subset)


def number_photo(path: Path) -> int:
    """Return the number of the photo that an image was made from; -1 if its name does not tell."""
    match = re.match(r"Augmented_(\d+)_", path.name)
    return int(match[1]) if match else -1


def count(pairs, photos, is_unmasked):
    """Return the numbers of pairs found, true, unknown and invented, and of true pairs that exist."""
    first, second = pairs.T
    true = (photos[first] == photos[second]) & (photos[first] >= 0)
    invented = is_unmasked[first] | is_unmasked[second]
    sizes = np.bincount(photos[photos >= 0])
    n_true = (sizes * (sizes - 1) // 2).sum()
    return np.array([len(pairs), true.sum(), (~true & ~invented).sum(), invented.sum(), n_true])


def print_groups(pairs, n_images, subset):
    """Print the groups of the last subset of a size to stderr."""
    groups = group_duplicates(pairs, n_images)
    print(f"{subset}: {len(np.unique(groups))} groups, largest {np.bincount(groups).max()}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
