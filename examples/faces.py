"""What the other examples share: the faces of a folder, or drawn ones."""

import sys

from maskkit.datasets import load_faces
from maskkit.testing import make_faces


def read_faces():
    """Give (images, labels) to train on and (images, labels) to test on."""
    if len(sys.argv) > 1:
        splits = list(load_faces(sys.argv[1]).splits.values())
        if len(splits) > 1:
            return (splits[0].paths, splits[0].labels), (
                splits[-1].paths,
                splits[-1].labels,
            )
        images, labels = splits[0].paths, splits[0].labels
    else:
        images, labels = make_faces(48)
    n_test = len(labels) // 4
    return (images[n_test:], labels[n_test:]), (images[:n_test], labels[:n_test])
