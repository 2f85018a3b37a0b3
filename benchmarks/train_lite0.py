"""Train maskkit-lite0, the bundled model, from public data.

python -m benchmarks.train_lite0 face-mask-12k face-mask-photos --out maskkit-lite0
"""

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from maskkit._images.crop import crop_square
from maskkit._images.load import ImageSource, RgbImage, load_image
from maskkit._labels import INCORRECT, UNMASKED, match_labels, meaning_of
from maskkit._model.classifier import MaskClassifier
from maskkit.datasets import AnnotatedPhoto, load_faces, load_photos

# Photos are split in tens, in natural order of their names, so that everybody holds out the same photos:
# two of ten for the report, one for calibration, the rest for training.
_REPORT, _CALIBRATE = (4, 9), (3,)

# The data set's own name of the class is no English.
_INCORRECT_NAME = "mask_worn_incorrectly"

# Rare classes are repeated, each time with another crop margin.
_REPEATS = {UNMASKED: 3, INCORRECT: 8}
# Random margins, because boxes of detectors differ from annotated ones; wide ones, because some images show more
# than a face.
_MARGINS, _WIDE_MARGINS, _WIDE_FRACTION = (1.0, 1.4), (1.4, 3.0), 0.25

# Target precision of the decisions that are not "uncertain" on the calibration photos.
_PRECISION = 0.97
# Annotators disagree on smaller faces.
_MIN_SIZE_PX = 8


def split_photos(
    photos: Sequence[AnnotatedPhoto],
) -> tuple[list[AnnotatedPhoto], list[AnnotatedPhoto], list[AnnotatedPhoto]]:
    """Split photos for training, calibration and the report."""
    report = [photo for index, photo in enumerate(photos) if index % 10 in _REPORT]
    calibrate = [photo for index, photo in enumerate(photos) if index % 10 in _CALIBRATE]
    train = [photo for index, photo in enumerate(photos) if index % 10 not in (*_REPORT, *_CALIBRATE)]
    return train, calibrate, report


def train_lite0(
    faces: Sequence[ImageSource],
    labels: Sequence[str],
    photos: Sequence[AnnotatedPhoto],
    *,
    epochs: int = 5,
    device: str = "auto",
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> MaskClassifier:
    """Train and calibrate ``maskkit-lite0``, and choose its threshold.

    Parameters
    ----------
    faces : sequence of images
        Face crops.
    labels : sequence of str
        Label of each crop; labels with the meaning of a label of the photos are renamed to it.
    photos : sequence of AnnotatedPhoto
        All photos, in natural order; a fifth is held out for the report.
    epochs : int, default=5
    device : str, default="auto"
    seed : int, default=0
    checkpoint : path, optional
        Checkpoint folder, as in `MaskClassifier`.
    verbose : int, default=0

    Returns
    -------
    classifier : MaskClassifier
        Classifier of three classes, with `threshold` and `min_size_px`.
    """
    photos = [_rename(photo) for photo in photos]
    train, calibrate, _ = split_photos(photos)
    rng = np.random.default_rng(seed)
    names = sorted({str(label) for photo in photos for label in photo.labels})
    matches = match_labels(labels, names)
    photo_faces, photo_labels = _crop_faces(train, rng)
    classifier = MaskClassifier(
        "efficientnet_lite0",
        fine_tune=True,
        image_size=160,
        epochs=epochs,
        batch_size=32,
        min_size_px=_MIN_SIZE_PX,
        precision="float32",
        device=device,
        checkpoint=checkpoint,
        random_state=seed,
        verbose=verbose,
    )
    classifier.fit([*faces, *photo_faces], [*(matches.get(label, label) for label in labels), *photo_labels])
    held_out = [(load_image(photo.path), photo) for photo in calibrate]
    crops = [crop_square(image, box) for image, photo in held_out for box in photo.boxes_xyxy]
    true_labels = [str(label) for _, photo in held_out for label in photo.labels]
    classifier.calibrate(crops, true_labels)
    threshold = classifier.choose_threshold(crops, true_labels, precision=_PRECISION)
    return classifier.set_params(threshold=threshold, precision="auto")


def _rename(photo: AnnotatedPhoto) -> AnnotatedPhoto:
    labels = [_INCORRECT_NAME if meaning_of(label) == INCORRECT else label for label in photo.labels.tolist()]
    return replace(photo, labels=np.array(labels, dtype=np.str_))


def _crop_faces(photos: Sequence[AnnotatedPhoto], rng: np.random.Generator) -> tuple[list[RgbImage], list[str]]:
    crops: list[RgbImage] = []
    labels: list[str] = []
    for photo in photos:
        image = load_image(photo.path)
        for box, label in zip(photo.boxes_xyxy, photo.labels.tolist(), strict=True):
            for _ in range(_REPEATS.get(meaning_of(label) or "", 1)):
                crops.append(crop_square(image, box, margin=_draw_margin(rng)))
                labels.append(label)
    return crops, labels


def _draw_margin(rng: np.random.Generator) -> float:
    low, high = _WIDE_MARGINS if rng.random() < _WIDE_FRACTION else _MARGINS
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def main() -> None:
    """Train on folders of face crops and annotated photos, and save the model in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", help="folder of face crops, with a Train split")
    parser.add_argument("photos", help="folder of photos with VOC annotations")
    parser.add_argument("--out", required=True, help="folder to write the model to")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--checkpoint", help="folder for the state after each epoch")
    arguments = parser.parse_args()
    train = load_faces(arguments.faces, random_state=arguments.seed).train
    model = train_lite0(
        train.paths,
        train.labels.tolist(),
        load_photos(arguments.photos),
        epochs=arguments.epochs,
        device=arguments.device,
        seed=arguments.seed,
        checkpoint=arguments.checkpoint,
        verbose=1,
    )
    model.save(arguments.out, half=True)


if __name__ == "__main__":
    main()
