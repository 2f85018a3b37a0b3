"""Effect of each part of the augmentation: the table of docs/measurements.md.

python benchmarks/augmentation.py face-mask-12k face-mask-photos [N_CROPS]

The photos are split into halves, one for selection and one for the report; neither is used for training.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from maskkit import MaskClassifier
from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage, load_image
from maskkit._labels import MASKED, UNMASKED, meaning_of
from maskkit.augment._camera import augment_face
from maskkit.datasets import AnnotatedPhoto, load_faces, load_photos

VARIANTS: dict[str, Any] = {
    "none": None,
    "geometry, light, blur, downscaling, JPEG": augment_face,
    "the same and painted masks (default)": "auto",
}
MIN_SIZES_PX = (0, 16, 32)


def crop_faces(photos: Sequence[AnnotatedPhoto]) -> tuple[list[RgbImage], NDArray[Any], NDArray[np.float64]]:
    """Crop the annotated faces with and without mask; return the crops, whether they are masked, and their sizes."""
    crops, masked, sides = [], [], []
    for photo in photos:
        image = load_image(photo.path)
        for box, label in zip(photo.boxes_xyxy, photo.labels.tolist(), strict=True):
            if meaning_of(label) in (UNMASKED, MASKED):
                crops.append(crop_square(image, box))
                masked.append(meaning_of(label) == MASKED)
                sides.append(max(box[2:] - box[:2]))
    return crops, np.array(masked), np.array(sides)


def main(faces: str, photos: str, n_crops: str = "2500") -> None:
    """Train one model per variant and print its results."""
    data, annotated = load_faces(faces), load_photos(photos)
    chosen = np.random.default_rng(0).permutation(len(data.train.paths))[: int(n_crops)]
    half = set(np.random.default_rng(7).permutation(len(annotated))[: len(annotated) // 2].tolist())
    parts = {
        "selection": crop_faces([photo for index, photo in enumerate(annotated) if index in half]),
        "report": crop_faces([photo for index, photo in enumerate(annotated) if index not in half]),
    }
    for name, augment in VARIANTS.items():
        model = MaskClassifier(
            "efficientnet_lite0",
            fine_tune=True,
            image_size=112,
            epochs=3,
            augment=augment,
            precision="float32",
            random_state=0,
        )
        model.fit([data.train.paths[row] for row in chosen], [data.train.labels[row] for row in chosen])
        column = [meaning_of(label) for label in model.classes_.tolist()].index(MASKED)
        print(f"{name}: 12k Validation {model.score(data.validation.paths, data.validation.labels):.4f}")
        for part, (crops, masked, sides) in parts.items():
            proba = model.predict_proba(crops)[:, column]
            recalls = [
                balanced_accuracy_score(masked[sides >= px], proba[sides >= px] > 0.5).item() for px in MIN_SIZES_PX
            ]
            print(f"  {part}: {[round(value, 3) for value in recalls]} AUC {roc_auc_score(masked, proba):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
