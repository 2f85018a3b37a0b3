"""Accuracy of models that are trained on few faces, the tables of docs/measurements.md.

python -m benchmarks.few_faces going-on DATA --out going_on.jsonl [--draws 5]
python -m benchmarks.few_faces few DATA --out few.jsonl [--draws 5]

DATA holds face-mask-12k, face-mask-photos and face-mask-photos-2. Each line of the output is one trained model; models
that are in the file already are not trained again. Labels are with and without a mask; masks that are worn incorrectly
are left out.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit import MaskClassifier
from maskkit._images.crop import crop_square
from maskkit._images.load import load_image
from maskkit._labels import MASKED, UNMASKED, meaning_of
from maskkit.datasets import AnnotatedPhoto, load_faces, load_photos

Faces = tuple[list[Any], NDArray[np.str_]]
# What identifies a trained model, and the function that trains and measures it.
Run = tuple[dict[str, Any], Callable[[], dict[str, Any]]]

N_BASE_CROPS = 1500
NEW_FACES = (20, 100, 400)
FEW_FACES = (50, 100, 200, 400, 800)
WAYS: dict[str, dict[str, Any]] = {
    "every layer": {},
    "frozen": {"fine_tune": False},
    "from maskkit-lite0": {"weights": "maskkit-lite0"},
}


def crop_faces(photos: Sequence[AnnotatedPhoto]) -> Faces:
    """Crop the annotated faces with and without a mask; the labels are their meanings."""
    crops, labels = [], []
    for photo in photos:
        image = load_image(photo.path)
        for box, label in zip(photo.boxes_xyxy, map(meaning_of, photo.labels), strict=True):
            if label in (MASKED, UNMASKED):
                crops.append(crop_square(image, box))
                labels.append(label)
    return crops, np.array(labels)


def read_crops(split: Any, rows: Any = slice(None)) -> Faces:
    """Return the crops of some rows of a split of face-mask-12k; the labels are their meanings."""
    labels = np.array([meaning_of(name) for name in split.labels])
    return np.array(split.paths, dtype=object)[rows].tolist(), labels[rows]


def draw(faces: Faces, n_faces: int, seed: int) -> Faces:
    """Draw faces at random."""
    rows = np.random.default_rng(seed).permutation(len(faces[0]))[:n_faces]
    return [faces[0][row] for row in rows], faces[1][rows]


def recalls(model: MaskClassifier, faces: Faces) -> list[float]:
    """Return the recall of masked and of unmasked faces; their mean is the balanced recall."""
    predicted = np.array([meaning_of(label) or "" for label in model.predict(faces[0])])
    return [float((predicted[faces[1] == label] == label).mean()) for label in (MASKED, UNMASKED)]


def fit_timed(model: MaskClassifier, faces: Faces) -> float:
    """Fit a model; return the seconds that it took."""
    start = time.perf_counter()
    model.fit(*faces)
    return time.perf_counter() - start


def going_on(data: Path, n_draws: int, base_folder: Path) -> Iterator[Run]:
    """Go on from a base that was trained on crops of 12k, with faces of every other photo, judged on the other half."""
    crops = load_faces(data / "face-mask-12k")
    photos = load_photos(data / "face-mask-photos")
    new, street = crop_faces(photos[0::2]), crop_faces(photos[1::2])
    old = read_crops(crops.validation)
    if not base_folder.exists():
        rows = np.random.default_rng(0).permutation(len(crops.train.paths))[:N_BASE_CROPS]
        MaskClassifier("efficientnet_lite0", random_state=0).fit(*read_crops(crops.train, rows)).save(base_folder)

    def measure(seed: int, n_faces: int) -> dict[str, Any]:
        model, seconds = MaskClassifier.load(base_folder, warm_start=True), 0.0
        if n_faces:
            seconds = fit_timed(model.set_params(random_state=seed), draw(new, n_faces, seed))
        return {"street": recalls(model, street), "old": recalls(model, old), "seconds": seconds}

    for seed in range(n_draws):
        for n_faces in (0, *NEW_FACES):
            yield {"seed": seed, "n_faces": n_faces}, partial(measure, seed, n_faces)


def few(data: Path, n_draws: int) -> Iterator[Run]:
    """Train on a few crops of 12k in three ways, judged on the faces of photos of two other data sets."""
    train = load_faces(data / "face-mask-12k").train
    crops = read_crops(train)
    # A third of the second set is enough. maskkit-lite0 was trained on photos of the first set, but of none of this.
    photos = crop_faces(load_photos(data / "face-mask-photos"))
    photos_2 = crop_faces(load_photos(data / "face-mask-photos-2")[::3])

    def measure(seed: int, n_faces: int, way: str) -> dict[str, Any]:
        model = MaskClassifier("efficientnet_lite0", random_state=seed, **WAYS[way])
        found = {"seconds": fit_timed(model, draw(crops, n_faces, 1000 + seed)), "photos-2": recalls(model, photos_2)}
        return found | ({} if "lite0" in way else {"photos": recalls(model, photos)})

    for way in WAYS:
        for seed in range(n_draws):
            for n_faces in FEW_FACES:
                yield {"seed": seed, "n_faces": n_faces, "way": way}, partial(measure, seed, n_faces, way)


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["going-on", "few"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    base = args.out.with_suffix(".base")
    rows = going_on(args.data, args.draws, base) if args.part == "going-on" else few(args.data, args.draws)
    done = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    for key, measure in rows:
        if not any(key.items() <= other.items() for other in done):
            line = key | measure()
            print(line, flush=True)
            with args.out.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
