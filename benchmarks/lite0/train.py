"""Train maskkit-lite0, the bundled model: python -m benchmarks.lite0.train DATA --out FOLDER.

DATA holds face-mask-12k, face-mask-photos and face-mask-photos-2.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import log_loss

from benchmarks.lite0.data import PHOTO_SETS, cut_training_faces, split_photos
from maskkit import MaskClassifier
from maskkit._images.annotated import cut_faces
from maskkit._images.load import RgbImage
from maskkit._labels import match_labels
from maskkit.datasets import AnnotatedPhoto, load_faces
from maskkit.detectors import MaskkitDetector

# Target precision of the decisions that are not "uncertain" on the photos to choose by.
_PRECISION = 0.97
# Annotators disagree on smaller faces.
_MIN_SIZE_PX = 8
# With exponent 1, every class counts the same in the bias; with 0, every face. Chosen for the recall of incorrectly
# worn masks on the photos to choose by, while at most 0.02 of the masked faces are called so: docs/measurements.md.
_BALANCE = 0.25


def train(
    data: Path,
    model: MaskClassifier,
    sets: tuple[str, ...] = PHOTO_SETS,
    *,
    detect: bool = True,
    n_crops: int | None = None,
) -> None:
    """Fit a model on photos and on `n_crops` crops of 12k, calibrate it and choose its threshold."""
    rng = np.random.default_rng(model.random_state)
    detector = MaskkitDetector() if detect else None
    splits = {name: split_photos(data / name) for name in sets}
    faces, labels = [], []
    for name, parts in splits.items():
        for crop, label in cut_training_faces(name, parts["train"], rng, detector):
            faces.append(crop)
            labels.append(label)
    crops = load_faces(data / "face-mask-12k", random_state=model.random_state).train
    names = match_labels(crops.labels, sorted(set(labels)))
    model.set_params(precision="float32", min_size_px=_MIN_SIZE_PX)
    rows = range(len(crops.paths)) if n_crops is None else rng.permutation(len(crops.paths))[:n_crops]
    model.fit([*(crops.paths[row] for row in rows), *faces], [*(names[crops.labels[row]] for row in rows), *labels])
    calibrate(model, [photo for parts in splits.values() for photo in parts["choose"]])


def calibrate(model: MaskClassifier, photos: list[AnnotatedPhoto]) -> None:
    """Fit the bias of each class, the temperature and the threshold on annotated photos."""
    crops = [crop for photo in photos for crop in cut_faces(photo.path, photo.boxes_xyxy)]
    labels = [str(label) for photo in photos for label in photo.labels]
    shift_classes(model, crops, labels)
    model.calibrate(crops, labels)
    model.set_params(threshold=model.choose_threshold(crops, labels, precision=_PRECISION), precision="auto")


def shift_classes(model: MaskClassifier, crops: list[RgbImage], labels: list[str]) -> None:
    """Add a bias to the logits of each class, so that the log loss on these faces, weighted by class, is lowest.

    Training repeats and paints rare classes, which the model then predicts too often. Together with the temperature,
    this is vector scaling without its scales (Guo et al. 2017, arXiv:1706.04599). Rare classes count somewhat more than
    their share, because a bias for the faces as they are misses more of them.
    """
    logits = np.log(model.predict_proba(crops).clip(1e-12))
    classes = model.classes_.tolist()
    targets = np.array([classes.index(label) for label in labels])
    weights = np.bincount(targets)[targets] ** -_BALANCE

    def loss(bias: NDArray[np.float64]) -> float:
        return float(
            log_loss(targets, softmax(logits + bias, axis=1), sample_weight=weights, labels=range(len(classes)))
        )

    bias = minimize(loss, np.zeros(len(classes))).x
    with torch.no_grad():
        model.head_.network_[-1].bias += torch.as_tensor(bias - bias.mean(), dtype=torch.float32)


def main() -> None:
    """Train, and save the model in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", required=True, help="folder to write the model to")
    parser.add_argument("--sets", nargs="+", default=PHOTO_SETS, help="names of the sets of photos")
    parser.add_argument("--n-crops", type=int, help="number of crops of face-mask-12k, drawn at random; default: all")
    parser.add_argument("--annotated-boxes", action="store_true", help="cut no faces at the boxes of the detector")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet", help="weights to start from; a bundled model or a folder")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--class-weight", choices=["balanced"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", help="folder for the state after each epoch")
    args = parser.parse_args()
    model = MaskClassifier(
        args.backbone,
        weights=args.weights,
        fine_tune=True,
        image_size=args.image_size,
        epochs=args.epochs,
        batch_size=32,
        learning_rate=args.learning_rate,
        class_weight=args.class_weight,
        checkpoint=args.checkpoint,
        random_state=args.seed,
        verbose=1,
    )
    train(args.data, model, tuple(args.sets), detect=not args.annotated_boxes, n_crops=args.n_crops)
    model.save(args.out, half=True)


if __name__ == "__main__":
    main()
