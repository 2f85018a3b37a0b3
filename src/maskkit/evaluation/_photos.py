"""Evaluation on annotated photos: how many faces are found, and how many of those judged rightly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskkit._labels import match_labels
from maskkit._metrics import (
    average_precision,
    bootstrapped,
    class_scores,
    macro,
    match_boxes,
    precision_recall,
    resample,
    wilson,
)
from maskkit._results import PhotoResult
from maskkit._tables import Estimate, Rows, Table
from maskkit.evaluation._report import ReportMixin, plain, send
from maskkit.exceptions import ImageError
from maskkit.reporters._base import Reporter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A face counts as found from this overlap on; faces are small and annotators draw them loosely.
FOUND_IOU = 0.4
# The overlap of "AP50", as in PASCAL VOC.
AP_IOU = 0.5

SIZES = {"<16 px": (0, 16), "16-32 px": (16, 32), "32-64 px": (32, 64), "64+ px": (64, np.inf)}


class Annotated(Protocol):
    """A photo with the boxes and labels of its faces, such as `maskkit.datasets.AnnotatedPhoto`."""

    @property
    def path(self) -> Any:
        """Where the photo is."""

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """Left, top, right, bottom of each face in pixels, (n_faces, 4)."""

    @property
    def labels(self) -> NDArray[np.str_]:
        """The class of each face, (n_faces,)."""


@dataclass(frozen=True, eq=False)
class PhotoEvaluation(ReportMixin):
    """How right a classifier and its detector are on annotated photos.

    A face is found if a detection overlaps it by an IoU of 0.4 or more, one to one. End to end, a
    missed face is a mistake of its class, and a detection where nobody annotated a face is one of the
    class that it was given. Faces of classes that the classifier does not know count for the detector
    only.

    Attributes
    ----------
    classes : tuple
        In the classifier's order.
    n_photos, n_faces : int
    n_unknown : int
        Faces of classes that the classifier does not know.
    confusion : ndarray of shape (n_classes + 1, n_classes + 1), int64
        Rows are truths, the last one for detections without a face; columns are predictions, the
        last one for faces missed.
    estimates : dict of str to Estimate
        Figures with 95 % intervals: Wilson's for shares, bootstrapped over photos for the rest.
    curves : dict
        Class -> (recall, precision) of its detections at IoU 0.5, the surest first.
    """

    classes: tuple[Any, ...]
    n_photos: int
    n_faces: int
    n_unknown: int
    confusion: NDArray[np.int64]
    estimates: Mapping[str, Estimate]
    curves: Mapping[Any, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def metrics(self) -> dict[str, Estimate]:
        """Give every figure by its name."""
        return dict(self.estimates)

    def tables(self) -> tuple[Table, ...]:
        """Give the figures, by class and by face size, and the confusion matrix as tables."""
        overall: Rows = tuple((meaning, self.estimates[name]) for name, meaning in _MEANINGS.items())
        left_out = f" {self.n_unknown:,} faces of other classes count for finding only." if self.n_unknown else ""
        by_class: Rows = tuple(
            (
                str(label),
                *(self.estimates[f"{name}/{label}"] for name in ("found", "found_and_right", "ap50")),
            )
            for label in self.classes
        )
        shares = ("found", "found_and_right", "right_if_found")
        by_size: Rows = tuple(
            (size, self.estimates[f"found/{size}"].n, *(self.estimates[f"{name}/{size}"] for name in shares))
            for size in SIZES
        )
        rows = (*map(str, self.classes), "no face")
        confusion = tuple(
            (
                row,
                *(None if row == "no face" and column == len(self.classes) else int(count) for column, count in cells),
            )
            for row, cells in zip(rows, map(enumerate, self.confusion), strict=True)
        )
        return (
            Table(
                f"{self.n_photos:,} photos, {self.n_faces:,} faces",
                ("figure", "value [95 % interval]"),
                overall,
                f"Found: IoU {FOUND_IOU} or more.{left_out}",
            ),
            Table("By class", ("class", "found", "found and right", "AP@0.5"), by_class),
            Table(
                "By size of the face", ("longer side", "faces", "found", "found and right", "right if found"), by_size
            ),
            Table("Confusion: rows are truths", ("truth", *map(str, self.classes), "missed"), confusion),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "kind": "photos",
            "classes": list(self.classes),
            "n_photos": self.n_photos,
            "n_faces": self.n_faces,
            "n_unknown": self.n_unknown,
            "confusion": self.confusion.tolist(),
            "metrics": {name: plain(estimate) for name, estimate in self.estimates.items()},
            "curves": {
                str(label): {"recall": recall.tolist(), "precision": precision.tolist()}
                for label, (recall, precision) in self.curves.items()
            },
        }

    def figures(self) -> dict[str, "Figure"]:
        """Draw what is found and right by size, and the curves of precision; matplotlib figures by name."""
        from maskkit.evaluation import _figures

        return {
            "by_size": _figures.draw_sizes({size: self.estimates[f"found_and_right/{size}"] for size in SIZES}),
            "precision_recall": _figures.draw_precision(
                self.curves, {label: self.estimates[f"ap50/{label}"] for label in self.classes}
            ),
        }


_MEANINGS = {
    "found": "faces found",
    "detection_precision": "detections that are faces",
    "detection_ap50": "AP@0.5 of finding faces",
    "found_and_right": "found and right",
    "right_if_found": "right if found",
    "balanced_accuracy": "right if found, mean over classes",
    "map50": "mAP@0.5 over classes",
    "f1": "F1 end to end, mean over classes",
    "f1_if_found": "F1 of faces found, mean over classes",
}


def evaluate_photos(
    classifier: Any,
    photos: Sequence[Annotated],
    *,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> PhotoEvaluation:
    """Measure a classifier and its detector on annotated photos.

    Parameters
    ----------
    classifier : fitted MaskClassifier
    photos : sequence of AnnotatedPhoto
        As `maskkit.datasets.load_photos` gives. Case and punctuation of labels do not matter.
    reporters : str, Reporter or several, default=()
        Names (``"console"``, ``"json:report.json"``, ...) or instances that get the evaluation.
    n_resamples : int, default=1000
        Bootstrap samples; photos are resampled, since the faces of one photo are alike.
    random_state : int, default=0
        Seeds the bootstrap.

    Returns
    -------
    evaluation : PhotoEvaluation

    Raises
    ------
    ImageError
        If a photo cannot be read.
    ValueError
        If there are no photos, or none of their labels is one of the classifier's.
    """
    photos = list(photos)
    classes = classifier.classes_.tolist()
    meant = match_labels((str(label) for photo in photos for label in photo.labels), classes)
    if not meant:
        raise ValueError(
            f"photos hold no face of a class that the classifier knows ({', '.join(map(repr, classes))}); "
            f"want a list of AnnotatedPhoto, as load_photos gives."
        )
    results = classifier.predict_photos([photo.path for photo in photos])
    counts = _Counts(classes, meant)
    for photo, result in zip(photos, results, strict=True):
        counts.add(photo, result)
    evaluation = counts.evaluate(n_resamples, np.random.default_rng(random_state))
    send(evaluation, reporters)
    return evaluation


class _Counts:
    """What was annotated and what was said, photo by photo."""

    def __init__(self, classes: Sequence[Any], meant: Mapping[str, Any]):
        self.classes = classes
        self.meant = meant
        self.unknown = len(classes)
        self.confusions: list[NDArray[np.int64]] = []
        # A row a face: class, longer side in px, found, right.
        self.faces: list[tuple[int, float, bool, bool]] = []
        self.n_faces: list[int] = []
        # A row a detection: photo, class, score, score by class, whether a face is there at each IoU
        # (and of its class), and whether it is left out for being of an unknown class.
        self.detections: list[tuple[int, int, float, float, bool, bool, bool, bool]] = []

    def add(self, photo: Annotated, result: PhotoResult) -> None:
        """Count one photo."""
        if result.error is not None:
            raise ImageError(result.error)
        number = len(self.confusions)
        truths = [
            self.classes.index(self.meant[str(label)]) if str(label) in self.meant else self.unknown
            for label in photo.labels
        ]
        boxes = np.array([face.box for face in result], dtype=np.float64).reshape(-1, 4)
        scores = np.array([face.detection_score for face in result])
        said = [self.classes.index(face.label) for face in result]
        found = match_boxes(boxes, scores, photo.boxes_xyxy, iou=FOUND_IOU)
        exact = match_boxes(boxes, scores, photo.boxes_xyxy, iou=AP_IOU)
        confusion = np.zeros((self.unknown + 1, self.unknown + 1), dtype=np.int64)
        by_face = {int(match): said[index] for index, match in enumerate(found) if match >= 0}
        for index, truth in enumerate(truths):
            left, top, right, bottom = photo.boxes_xyxy[index]
            side = float(max(right - left, bottom - top))
            self.faces.append((truth, side, index in by_face, by_face.get(index) == truth))
            if truth != self.unknown:
                confusion[truth, by_face.get(index, self.unknown)] += 1
        for index, face in enumerate(result):
            if found[index] < 0:
                confusion[self.unknown, said[index]] += 1
            there = exact[index] >= 0
            self.detections.append(
                (
                    number,
                    said[index],
                    face.detection_score,
                    face.detection_score * face.probability,
                    found[index] >= 0,
                    there,
                    there and truths[exact[index]] == said[index],
                    there and truths[exact[index]] == self.unknown,
                )
            )
        self.confusions.append(confusion)
        self.n_faces.append(len(truths))

    def evaluate(self, n_resamples: int, rng: np.random.Generator) -> PhotoEvaluation:
        """Turn the counts into figures."""
        confusions = np.array(self.confusions)
        n_photos, n_faces = len(confusions), sum(self.n_faces)
        draws = list(resample(n_photos, n_resamples, rng))
        curves = self._rank()
        once = np.ones(n_photos, dtype=np.int64)

        def values(counts: NDArray[np.int64]) -> NDArray[np.float64]:
            """Give all bootstrapped figures of photos drawn so often."""
            precisions = [
                average_precision(is_right, counts[photo], float((counts * n_truths).sum()))
                for is_right, photo, n_truths in curves.values()
            ]
            confusion = np.tensordot(counts, confusions, 1)
            known = confusion[:-1, :-1]
            return np.array(
                [
                    *precisions,
                    macro(np.array(precisions[1:])),
                    macro(class_scores(confusion)[2][:-1]),
                    macro(class_scores(known)[2]),
                    macro(class_scores(known)[1]),
                ]
            )

        names = ["detection_ap50", *(f"ap50/{label}" for label in self.classes)]
        names += ["map50", "f1", "f1_if_found", "balanced_accuracy"]
        value, samples = values(once), np.array([values(counts) for counts in draws]).reshape(-1, len(names))
        estimates = self._shares()
        for index, name in enumerate(names):
            estimates[name] = bootstrapped(float(value[index]), samples[:, index], n_faces)
        drawn = {
            label: precision_recall(is_right, once[photo], float(n_truths.sum()))
            for label, (is_right, photo, n_truths) in list(curves.items())[1:]
        }
        n_unknown = sum(face[0] == self.unknown for face in self.faces)
        return PhotoEvaluation(
            tuple(self.classes), n_photos, n_faces, n_unknown, confusions.sum(axis=0), estimates, drawn
        )

    def _rank(self) -> dict[Any, tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]]:
        """Sort the detections, of all and of each class: right or not, photo, truths in each photo."""
        table = np.array(self.detections, dtype=np.float64).reshape(-1, 8)
        photo, said, score, class_score, _, there, right, of_unknown = table.T
        order = np.argsort(-score, kind="stable")
        ranked: dict[Any, Any] = {None: (there[order] > 0, photo[order].astype(int), np.array(self.n_faces))}
        truths = np.array(self.confusions).sum(axis=2)
        for index, label in enumerate(self.classes):
            rows = np.flatnonzero((said == index) & (of_unknown == 0))
            rows = rows[np.argsort(-class_score[rows], kind="stable")]
            ranked[label] = (right[rows] > 0, photo[rows].astype(int), truths[:, index])
        return ranked

    def _shares(self) -> dict[str, Estimate]:
        """Estimate the shares of faces found and rightly judged, in all, by class and by size."""
        truth, side, found, right = np.array(self.faces, dtype=np.float64).reshape(-1, 4).T
        is_known = truth != self.unknown
        n_real = sum(detection[4] for detection in self.detections)
        estimates = {"detection_precision": wilson(n_real, len(self.detections))}
        groups = {"": np.ones(len(truth), dtype=bool)}
        groups |= {f"/{label}": truth == index for index, label in enumerate(self.classes)}
        groups |= {f"/{size}": (side >= low) & (side < high) for size, (low, high) in SIZES.items()}
        for suffix, group in groups.items():
            known = group & is_known
            n_found, n_right = (found[known] > 0).sum(), (right[known] > 0).sum()
            estimates[f"found{suffix}"] = wilson((found[group] > 0).sum(), group.sum())
            estimates[f"found_and_right{suffix}"] = wilson(n_right, known.sum())
            estimates[f"right_if_found{suffix}"] = wilson(n_right, n_found)
        return estimates
