"""Faces that train and judge maskkit-lite0: crops of face-mask-12k, and two sets of annotated photos.

Labels of `corrections.csv` replace those of the sets. They were corrected by eye, by the rule of docs/guides/data.md
(incorrectly worn is a mask that is on the head and does not cover both nose and mouth): all faces of
face-mask-photos-2 that are labelled unmasked or incorrectly worn were looked at, and the masked ones that maskkit-lite0
doubts. An empty label leaves a box out that holds no face. `twins.csv` lists photos of face-mask-photos-2 that show the
same scene as an earlier one: pairs of faces with a cosine similarity of 0.8 or more between centered features of
EfficientNet-Lite0, and those that `maskkit.datasets.audit` finds.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.detector.labels import CHOOSE, REPORT, match
from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage, load_image
from maskkit._labels import INCORRECT, UNMASKED, meaning_of
from maskkit.datasets import AnnotatedPhoto, load_photos
from maskkit.detectors import Detector

FOLDER = Path(__file__).parent
PHOTO_SETS = ("face-mask-photos", "face-mask-photos-2")

# The data sets' own name of the class is no English.
INCORRECT_NAME = "mask_worn_incorrectly"

# Rare classes are repeated, each time with another crop margin.
_REPEATS = {"face-mask-photos": {UNMASKED: 3, INCORRECT: 8}, "face-mask-photos-2": {INCORRECT: 4}}
# Random margins, because boxes of detectors differ from annotated ones; wide ones, because some images show more
# than a face.
_MARGINS, _WIDE_MARGINS, _WIDE_FRACTION = (1.0, 1.4), (1.4, 3.0), 0.25
# Share of the crops that are cut at the box of the detector, where it finds the face, and not at the annotated one.
_DETECTED_FRACTION, _MATCH_IOU = 0.5, 0.4


def split_photos(folder: Path) -> dict[str, list[AnnotatedPhoto]]:
    """Return the photos of a set for ``"train"``, ``"choose"`` and ``"report"``, with corrected labels.

    Photos are split in tens, in natural order of their names, as for the face detector, so that no photo of the report
    trains either. Twins are in the part of the first of them.
    """
    twins, corrections = _read_twins(), _read_corrections()
    photos = load_photos(folder)
    place = {photo.path.name: index for index, photo in enumerate(photos)}
    parts: dict[str, list[AnnotatedPhoto]] = {"train": [], "choose": [], "report": []}
    for photo in photos:
        name = photo.path.name
        digit = place[twins.get(name, name)] % 10
        part = "report" if digit in REPORT else "choose" if digit in CHOOSE else "train"
        parts[part].append(_correct(photo, corrections[name]))
    return parts


def _read_twins() -> dict[str, str]:
    with (FOLDER / "twins.csv").open(newline="") as file:
        return {row["photo"]: row["twin_of"] for row in csv.DictReader(file)}


def _read_corrections() -> defaultdict[str, dict[int, str]]:
    corrections: defaultdict[str, dict[int, str]] = defaultdict(dict)
    with (FOLDER / "corrections.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            corrections[row["photo"]][int(row["box"])] = row["label"]
    return corrections


def _correct(photo: AnnotatedPhoto, corrections: dict[int, str]) -> AnnotatedPhoto:
    labels = [corrections.get(index, str(label)) for index, label in enumerate(photo.labels)]
    labels = [INCORRECT_NAME if meaning_of(label) == INCORRECT else label for label in labels]
    kept = [index for index, label in enumerate(labels) if label]
    return replace(photo, boxes_xyxy=photo.boxes_xyxy[kept], labels=np.array([labels[index] for index in kept], str))


def cut_training_faces(
    name: str, photos: list[AnnotatedPhoto], rng: np.random.Generator, detector: Detector | None
) -> Iterator[tuple[RgbImage, str]]:
    """Iterate over crops and labels of the training photos of a set; rare classes are repeated."""
    for photo in photos:
        image = load_image(photo.path)
        annotated = np.asarray(photo.boxes_xyxy, np.float32).reshape(-1, 4)
        detected = annotated if detector is None else _find_boxes(detector, image, annotated)
        for index, label in enumerate(photo.labels.tolist()):
            for _ in range(_REPEATS[name].get(meaning_of(label) or "", 1)):
                boxes = detected if rng.random() < _DETECTED_FRACTION else annotated
                yield crop_square(image, boxes[index], margin=_draw_margin(rng)), label


def _find_boxes(detector: Detector, image: RgbImage, annotated: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the detected box of each annotated face, or the annotated one where it is not found."""
    found = np.asarray(detector.detect(image).boxes_xyxy, np.float32).reshape(-1, 4)
    matches = match(annotated, found, _MATCH_IOU)
    boxes = annotated.copy()
    boxes[matches >= 0] = found[matches[matches >= 0]]
    return boxes


def _draw_margin(rng: np.random.Generator) -> float:
    low, high = _WIDE_MARGINS if rng.random() < _WIDE_FRACTION else _MARGINS
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
