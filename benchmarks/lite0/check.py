"""Evaluate a model on photos that the training of maskkit-lite0 holds out, and on Validation of 12k.

python -m benchmarks.lite0.check DATA [--model MODEL] [--part choose] [--robustness]
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import rich
from numpy.typing import NDArray

from benchmarks.lite0.data import PHOTO_SETS, split_photos
from maskkit import MaskClassifier, evaluate, evaluate_photos, evaluate_robustness
from maskkit._display.tables import Estimate, Table, to_rich
from maskkit._images.annotated import cut_faces
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


def main() -> None:
    """Print the evaluation of crops, of photos with the detector and, if asked for, of corrupted crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="maskkit-lite0", help="name of a bundled model, or a folder")
    parser.add_argument("--part", choices=["choose", "report"], default="report")
    parser.add_argument("--robustness", action="store_true")
    args = parser.parse_args()
    load = MaskClassifier.load if Path(args.model).is_dir() else MaskClassifier.from_pretrained
    model = load(args.model)
    photos = {name: split_photos(args.data / name)[args.part] for name in PHOTO_SETS}
    crops = evaluate(model, {"12k Validation": load_faces(args.data / "face-mask-12k").validation, **photos})
    rich.print(crops)
    for evaluation in crops.evaluations.values():
        rich.print(evaluation)
    for name, part in photos.items():
        rich.print(name, to_rich(tell_masks_apart(model, part)), evaluate_photos(model, part))
        if args.robustness:
            rich.print(evaluate_robustness(model, part))


if __name__ == "__main__":
    main()
