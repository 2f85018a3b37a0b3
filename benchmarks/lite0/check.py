"""Evaluate a model on photos that the training of maskkit-lite0 holds out, and on Validation of 12k.

python -m benchmarks.lite0.check DATA [--model MODEL] [--part choose] [--robustness]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rich
import skimage.data
from numpy.typing import NDArray

from benchmarks.detector.check import FACELESS, as_rgb
from benchmarks.lite0.data import PHOTO_SETS, split_photos
from benchmarks.lite0.train import calibrate
from maskkit import MaskClassifier, evaluate, evaluate_photos, evaluate_robustness
from maskkit._display.tables import Estimate, Table
from maskkit._images.annotated import cut_faces
from maskkit._images.boxes import share_of_smaller
from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage, load_image
from maskkit._labels import INCORRECT, MASKED, UNMASKED, meaning_of
from maskkit._metrics.scores import wilson
from maskkit.datasets import AnnotatedPhoto, load_faces

MIN_SIZES_PX = (0, 16, 32)


def tell_masks_apart(model: Any, photos: list[AnnotatedPhoto]) -> Table:
    """Return the recalls of masked and unmasked faces, between these two alone, and who is called incorrectly worn."""
    crops, labels, sizes = [], [], []
    for photo in photos:
        crops += cut_faces(photo.path, photo.boxes_xyxy)
        labels += [meaning_of(label) for label in photo.labels]
        sizes += (photo.boxes_xyxy[:, 2:] - photo.boxes_xyxy[:, :2]).max(axis=1).tolist()
    proba = model.predict_proba(crops)
    meanings = np.array([meaning_of(label) for label in model.classes_])
    true, size = np.array(labels), np.array(sizes)
    between = proba * (meanings != INCORRECT)
    is_right = meanings[between.argmax(axis=1)] == true
    rows: list[tuple[str, float | str, Estimate, Estimate]] = []
    for limit in MIN_SIZES_PX:
        recalls = [_share(is_right, (true == meaning) & (size >= limit)) for meaning in (MASKED, UNMASKED)]
        rows.append((f"{limit} px and more", (recalls[0].value + recalls[1].value) / 2, *recalls))
    called = meanings[proba.argmax(axis=1)] == INCORRECT
    wrongly = [_share(called, true == meaning) for meaning in (MASKED, UNMASKED)]
    rows.append(("called incorrectly worn", "", *wrongly))
    return Table("With or without a mask", ("faces", "balanced", "masked", "unmasked"), tuple(rows))


def _share(is_right: NDArray[np.bool_], group: NDArray[np.bool_]) -> Estimate:
    return wilson(int((is_right & group).sum()), int(group.sum()))


def check_non_faces(model: MaskClassifier, photos: list[AnnotatedPhoto]) -> Table:
    """Return the shares of faces, of crops beside faces, and of crops of pictures without faces called no face."""
    rng = np.random.default_rng(0)
    faces = [crop for photo in photos for crop in cut_faces(photo.path, photo.boxes_xyxy)]
    beside = [crop for photo in photos for crop in _cut_beside(photo, rng)]
    pictures = [as_rgb(getattr(skimage.data, name)()) for name in FACELESS]
    others = [_cut_anywhere(picture, rng) for picture in pictures for _ in range(12)]
    rows = []
    for name, crops in (("faces", faces), ("crops beside faces", beside), ("scikit-image's pictures", others)):
        found = [face.reasons for photo in model.predict_photos(crops, crops=True) for face in photo]
        rows.append((name, len(crops), wilson(sum("not_a_face" in reasons for reasons in found), len(found))))
    return Table("Called no face", ("crops", "number", "share"), tuple(rows))


def _cut_anywhere(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    height, width = image.shape[:2]
    side = int(rng.uniform(0.2, 1) * min(height, width))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return image[top : top + side, left : left + side]


def _cut_beside(photo: AnnotatedPhoto, rng: np.random.Generator, n_tries: int = 2) -> Iterator[RgbImage]:
    """Iterate over square crops of 24 to 200 px that touch no face, of a few tries at random places."""
    image = load_image(photo.path)
    height, width = image.shape[:2]
    for _ in range(n_tries):
        side = rng.uniform(24, min(200, height, width))
        left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
        box = np.array([[left, top, left + side, top + side]], np.float32)
        if not share_of_smaller(box, np.reshape(photo.boxes_xyxy, (-1, 4))).any():
            yield crop_square(image, box[0])


def main() -> None:
    """Print the evaluation of crops, of photos with the detector and, if asked for, of corrupted crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="maskkit-lite0", help="name of a bundled model, or a folder")
    parser.add_argument("--part", choices=["choose", "report"], default="report")
    parser.add_argument("--robustness", action="store_true")
    parser.add_argument("--calibrate", action="store_true", help="calibrate on the photos to choose by first")
    args = parser.parse_args()
    load = MaskClassifier.load if Path(args.model).is_dir() else MaskClassifier.from_pretrained
    model = load(args.model)
    if args.calibrate:
        calibrate(model, [photo for name in PHOTO_SETS for photo in split_photos(args.data / name)["choose"]])
    photos = {name: split_photos(args.data / name)[args.part] for name in PHOTO_SETS}
    crops = evaluate(model, {"12k Validation": load_faces(args.data / "face-mask-12k").validation, **photos})
    rich.print(crops)
    for evaluation in crops.evaluations.values():
        rich.print(evaluation)
    rich.print(check_non_faces(model, [photo for part in photos.values() for photo in part]))
    for name, part in photos.items():
        rich.print(name, tell_masks_apart(model, part), evaluate_photos(model, part))
        if args.robustness:
            rich.print(evaluate_robustness(model, part))


if __name__ == "__main__":
    main()
