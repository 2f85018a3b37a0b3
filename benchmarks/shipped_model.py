"""Evaluate a model on the photos that the training of maskkit-lite0 holds out, and on Validation of 12k.

python benchmarks/shipped_model.py face-mask-12k face-mask-photos [MODEL]
"""

import sys

import rich

from benchmarks.train_lite0 import split_photos
from maskkit import MaskClassifier, evaluate, evaluate_photos
from maskkit.datasets import load_faces, load_photos


def main(faces: str, photos: str, model: str = "maskkit-lite0") -> None:
    """Print the evaluation of crops, then that of photos with the detector."""
    load = MaskClassifier.load if "/" in model else MaskClassifier.from_pretrained
    classifier = load(model)
    validation = load_faces(faces).validation
    report = split_photos(load_photos(photos))[2]
    crops = evaluate(classifier, {"12k Validation": validation, "held-out photos": report})
    rich.print(crops)
    for evaluation in crops.evaluations.values():
        rich.print(evaluation)
    rich.print(evaluate_photos(classifier, report))


if __name__ == "__main__":
    main(*sys.argv[1:])
