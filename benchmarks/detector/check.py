"""Check a face detector on held-out data: python -m benchmarks.detector.check DATA [--part choose] [--weights FILE].

Recall by size and precision on photos, close-ups of masked and unmasked faces without a box or with several, a crowd
made of photos side by side, and pictures without faces.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import rich
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from benchmarks.detector.labels import CHOOSE, REPORT, match
from benchmarks.detector.train import N_CHOOSE_CROPS, N_CROPS
from maskkit._display.tables import Estimate
from maskkit._images.load import ImageSource, load_image
from maskkit._metrics.scores import wilson
from maskkit.datasets import AnnotatedPhoto, load_faces, load_photos
from maskkit.detectors import CenterFaceDetector, Detector, MaskkitDetector
from maskkit.reporters import Table

MIN_IOU = 0.4
SIZE_EDGES_PX = (16, 32)
# scikit-image's pictures without a face. In the others are faces, or drawn ones.
FACELESS = (
    "brick", "cat", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "moon", "page", "rocket", "text",
)  # fmt: skip


def check_photos(detector: Detector, photos: Iterable[AnnotatedPhoto]) -> tuple[list[Estimate], Estimate]:
    """Return the recall of faces under 16, of 16 to 32 and over 32 px, and the share of boxes that are annotated."""
    found, total = np.zeros(3, int), np.zeros(3, int)
    n_boxes = 0
    for photo in photos:
        boxes = detector.detect(load_image(photo.path)).boxes_xyxy
        n_boxes += len(boxes)
        wanted = np.asarray(photo.boxes_xyxy, np.float32).reshape(-1, 4)
        bins = np.digitize((wanted[:, 2:] - wanted[:, :2]).max(axis=1, initial=0), SIZE_EDGES_PX)
        hits = match(wanted, boxes, MIN_IOU) >= 0
        total += np.bincount(bins, minlength=3)
        found += np.bincount(bins[hits], minlength=3)
    return [wilson(int(hit), int(n)) for hit, n in zip(found, total, strict=True)], wilson(int(found.sum()), n_boxes)


def check_close_ups(detector: Detector, crops: Sequence[ImageSource]) -> tuple[int, int]:
    """Return how many crops of one face have no box, and how many have several."""
    counts = np.array([len(detector.detect(load_image(crop))) for crop in crops])
    return int((counts == 0).sum()), int((counts > 1).sum())


def check_crowd(detector: Detector, photos: Sequence[AnnotatedPhoto], *, n_columns: int) -> tuple[int, int, int]:
    """Put photos side by side; return the boxes, the annotated faces found, and the annotated faces."""
    images = [load_image(photo.path) for photo in photos]
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    n_rows = -(-len(images) // n_columns)
    crowd = np.zeros((n_rows * height, n_columns * width, 3), np.uint8)
    wanted = []
    for index, (photo, image) in enumerate(zip(photos, images, strict=True)):
        y, x = index // n_columns * height, index % n_columns * width
        crowd[y : y + image.shape[0], x : x + image.shape[1]] = image
        wanted.append(np.asarray(photo.boxes_xyxy, np.float32).reshape(-1, 4) + np.float32([x, y, x, y]))
    boxes = detector.detect(crowd).boxes_xyxy
    every = np.concatenate(wanted)
    return len(boxes), int((match(every, boxes, MIN_IOU) >= 0).sum()), len(every)


def check_faceless(detector: Detector) -> dict[str, int]:
    """Return the number of boxes in each of scikit-image's pictures without a face, and in noise."""
    images = {name: as_rgb(getattr(skimage.data, name)()) for name in FACELESS if hasattr(skimage.data, name)}
    images["noise"] = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return {name: n for name, image in images.items() if (n := len(detector.detect(image)))}


def as_rgb(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return a picture of scikit-image, which may be gray or binary, as RGB."""
    image = np.asarray(image)
    image = image.astype(np.uint8) * 255 if image.dtype == bool else image
    return np.asarray(Image.fromarray(image).convert("RGB"))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("choose", "report"), default="report")
    parser.add_argument("--weights", type=Path, help="safetensors file, or 'centerface' for the original")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--n-crops", type=int, default=400)
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="pictures whose boxes are counted")
    args = parser.parse_args()
    settings = {} if args.threshold is None else {"threshold": args.threshold}
    detector: Detector
    if str(args.weights) == "centerface":
        detector = CenterFaceDetector(**settings)
    else:
        detector = MaskkitDetector(weights=args.weights, **settings)

    digits = CHOOSE if args.part == "choose" else REPORT
    rows = []
    for name in ("face-mask-photos", "face-mask-photos-2"):
        photos = [photo for n, photo in enumerate(load_photos(args.data / name)) if n % 10 in digits]
        recalls, precision = check_photos(detector, photos)
        sizes = ("faces under 16 px found", "16 to 32 px", "32 px and more", "boxes that are annotated")
        rows += [(name, size, value.n, value) for size, value in zip(sizes, (*recalls, precision), strict=True)]
        if name == "face-mask-photos":
            crowds = {
                f"{n} photos in columns of {c}": check_crowd(detector, photos[:n], n_columns=c)
                for n, c in ((24, 6), (24, 24))
            }
    rich.print(Table("Photos", ("photos", "share of", "n", "value [95 % interval]"), tuple(rows)))

    faces = load_faces(args.data / "face-mask-12k", random_state=0)
    crops, part = (
        (faces.train, slice(N_CROPS, N_CROPS + N_CHOOSE_CROPS))
        if args.part == "choose"
        else (faces.validation, slice(None))
    )
    rows = []
    for label in sorted(set(map(str, crops.labels))):
        chosen = [
            path for path, other in zip(crops.paths[part], crops.labels[part], strict=True) if str(other) == label
        ][: args.n_crops]
        rows.append((str(label), len(chosen), *check_close_ups(detector, chosen)))
    rich.print(Table("Close-ups", ("class", "crops", "no face", "several"), tuple(rows)))
    rich.print(Table("Crowds", ("crowd", "boxes", "found", "annotated"), tuple((k, *v) for k, v in crowds.items())))
    for picture in args.pictures:
        print(picture.name, len(detector.detect(load_image(picture))), "boxes")
    print("boxes in pictures without faces:", check_faceless(detector) or 0)


if __name__ == "__main__":
    main()
