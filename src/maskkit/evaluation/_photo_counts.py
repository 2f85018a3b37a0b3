"""Counts of detected and correctly classified faces, photo by photo, and metrics computed from them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate
from maskkit._images.boxes import check_boxes, check_inside, share_of_smaller
from maskkit._images.load import name_source
from maskkit._images.quality import SIZE_BINS
from maskkit._metrics.scores import Ints, class_scores, macro, wilson
from maskkit._model.results import PhotoResult
from maskkit.evaluation._intervals import bootstrapped, resample
from maskkit.evaluation._metrics import average_precision, match_boxes, precision_recall
from maskkit.exceptions import ImageError

# Minimum IoU at which a face counts as detected. Faces are small, and annotators draw boxes loosely.
MATCH_IOU = 0.4
# A second detection of a face covers more than this share of the smaller of the two boxes.
DUPLICATE_OVERLAP = 0.5
# The overlap of "AP50", as in PASCAL VOC.
AP_IOU = 0.5

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
# Whether each detection is correct, sorted by decreasing score; its photo; and the number of faces of each photo.
Ranking = tuple[NDArray[np.bool_], Ints, Ints]


class Annotated(Protocol):
    """A photo with the boxes and labels of its faces, such as `maskkit.datasets.AnnotatedPhoto`."""

    @property
    def path(self) -> Any:
        """Path of the photo."""

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """Left, top, right and bottom of each face in pixels, (n_faces, 4)."""

    @property
    def labels(self) -> NDArray[np.str_]:
        """Class of each face, (n_faces,)."""


def is_duplicated(boxes: NDArray[np.float64], true_boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each annotated face whether it is the one that a further detection, one of `boxes`, covers most."""
    twice = np.zeros(len(true_boxes), dtype=bool)
    for overlaps in share_of_smaller(boxes, true_boxes) if len(true_boxes) else ():
        twice[overlaps.argmax()] |= overlaps.max() > DUPLICATE_OVERLAP
    return twice


class PhotoCounts:
    """Accumulates the results of photos.

    `classes` are those of the classifier, in its order, and `known_labels` the class of each annotated label that means
    one of them.
    """

    def __init__(self, classes: Sequence[Any], known_labels: Mapping[str, Any]):
        self.classes = classes
        # The index after the classes stands for a class that the classifier does not have, and for a missed face.
        self.unknown = len(classes)
        self.indices = {label: classes.index(known) for label, known in known_labels.items()}
        self.confusions: list[Ints] = []
        # One array per photo with one row per face: class, longer side in px, detected, correct, detected twice.
        self.faces: list[NDArray[np.float64]] = []
        self.n_detections = 0
        self.n_detected_faces = 0
        # For each class (None: any), one array per photo with one row per detection: score, correct, photo.
        self.detections: dict[Any, list[NDArray[np.float64]]] = {label: [] for label in (None, *classes)}

    @property
    def confusion(self) -> Ints:
        """Number of faces per true and predicted class, (n_classes + 1, n_classes + 1)."""
        return np.sum(self.confusions, axis=0)

    @property
    def n_faces(self) -> int:
        """Number of annotated faces."""
        return sum(map(len, self.faces))

    def add(self, photo: Annotated, result: PhotoResult) -> None:
        """Add the result of one photo; raise DataError if annotated boxes are invalid or lie outside the photo."""
        if result.error is not None:
            raise ImageError(result.error)
        true = np.array([self.indices.get(str(label), self.unknown) for label in photo.labels], dtype=np.int64)
        true_boxes = check_boxes(photo.boxes_xyxy, len(photo.labels), name_source(photo.path)).astype(np.float64)
        if result.size is not None:
            check_inside(true_boxes, result.size, name_source(photo.path))
        faces = list(result)
        boxes = np.array([face.box for face in faces], dtype=np.float64).reshape(-1, 4)
        scores = np.array([face.detection_score for face in faces], dtype=np.float64)
        confidences = scores * np.array([face.probability for face in faces], dtype=np.float64)
        predicted = np.array([self.classes.index(face.label) for face in faces], dtype=np.int64)

        found = match_boxes(boxes, scores, true_boxes, iou=MATCH_IOU)
        is_face = found >= 0
        predictions = np.full(len(true), self.unknown)
        predictions[found[is_face]] = predicted[is_face]
        is_found = predictions != self.unknown
        sides = (true_boxes[:, 2:] - true_boxes[:, :2]).max(axis=1)
        twice = is_found & is_duplicated(boxes[~is_face], true_boxes)
        self.faces.append(np.column_stack([true, sides, is_found, is_found & (predictions == true), twice]))
        self.n_detections += len(faces)
        self.n_detected_faces += int(is_face.sum())

        confusion = np.zeros((self.unknown + 1, self.unknown + 1), dtype=np.int64)
        is_known = true != self.unknown
        np.add.at(confusion, (true[is_known], predictions[is_known]), 1)
        np.add.at(confusion[self.unknown], predicted[~is_face], 1)
        self.confusions.append(confusion)

        self._rank(None, scores, match_boxes(boxes, scores, true_boxes, iou=AP_IOU) >= 0)
        for index, label in enumerate(self.classes):
            mine = predicted == index
            candidates = (true == index) | ~is_known
            matches = match_boxes(boxes[mine], confidences[mine], true_boxes[candidates], iou=AP_IOU)
            # Without a match, -1 selects the appended value.
            hit = np.append(true[candidates], -1)[matches]
            # A detection of a face whose class the classifier does not have is neither correct nor wrong.
            counts = hit != self.unknown
            self._rank(label, confidences[mine][counts], hit[counts] == index)

    def estimate(self, n_resamples: int, rng: np.random.Generator) -> dict[str, Estimate]:
        """Return metrics by name: proportions with Wilson intervals, the others bootstrapped over photos."""
        confusions = np.array(self.confusions)
        n_photos = len(confusions)
        rankings = self._rankings()

        def values(counts: Ints) -> NDArray[np.float64]:
            """Return the bootstrapped metrics of photos that are drawn `counts` times."""
            precisions = [
                average_precision(is_correct, counts[photo], float((counts * n_true).sum()))
                for is_correct, photo, n_true in rankings.values()
            ]
            confusion = np.tensordot(counts, confusions, 1)
            _, recall_on_detected, f1_on_detected = class_scores(confusion[:-1, :-1])
            averaged = [np.array(precisions[1:]), class_scores(confusion)[2][:-1], f1_on_detected, recall_on_detected]
            return np.array([*precisions, *map(macro, averaged)])

        n_by_class = self.confusion[:-1].sum(axis=1).tolist()
        n_found = int(self.confusion[:-1, :-1].sum())
        counted_on = {"detection_ap50": self.n_faces}
        counted_on |= {f"ap50/{label}": n for label, n in zip(self.classes, n_by_class, strict=True)}
        counted_on |= {"map50": sum(n_by_class), "f1": sum(n_by_class)}
        counted_on |= {"f1_on_detected": n_found, "balanced_accuracy": n_found}
        value = values(np.ones(n_photos, dtype=np.int64))
        samples = np.array([values(counts) for counts in resample(n_photos, n_resamples, rng)])
        return self._proportions() | {
            name: bootstrapped(float(value[index]), samples[:, index], n)
            for index, (name, n) in enumerate(counted_on.items())
        }

    def curves(self) -> dict[Any, Curve]:
        """Return recall and precision of each annotated class, by decreasing score."""
        return {
            label: precision_recall(is_correct, np.ones(len(is_correct)), float(n_true.sum()))
            for label, (is_correct, _, n_true) in self._rankings().items()
            if label is not None and n_true.any()
        }

    def _rank(self, label: Any, scores: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> None:
        photo = np.full(len(scores), len(self.confusions) - 1)
        self.detections[label].append(np.column_stack([scores, is_correct, photo]))

    def _rankings(self) -> dict[Any, Ranking]:
        """Return the sorted detections of all classes (None) and of each class."""
        true = np.array(self.confusions).sum(axis=2)
        n_true = [np.array(list(map(len, self.faces))), *true.T[:-1]]
        rankings: dict[Any, Ranking] = {}
        for (label, detections), n in zip(self.detections.items(), n_true, strict=True):
            scores, is_correct, photo = np.concatenate(detections).T
            order = np.argsort(-scores, kind="stable")
            rankings[label] = is_correct[order] > 0, photo[order].astype(np.int64), n
        return rankings

    def _proportions(self) -> dict[str, Estimate]:
        """Estimate the proportions of detected and correct faces: of all, by class and by size."""
        true, side, found, correct, twice = np.concatenate(self.faces).T
        is_known = true != self.unknown
        estimates = {"detection_precision": wilson(self.n_detected_faces, self.n_detections)}
        groups = {"": np.ones(len(true), dtype=bool)}
        groups |= {f"/{label}": true == index for index, label in enumerate(self.classes)}
        groups |= {f"/{size}": (side >= low) & (side < high) for size, (low, high) in SIZE_BINS.items()}
        for suffix, group in groups.items():
            known = group & is_known
            estimates[f"detection_recall{suffix}"] = wilson(found[group].sum(), group.sum())
            estimates[f"duplicate_rate{suffix}"] = wilson(twice[group].sum(), group.sum())
            estimates[f"end_to_end_recall{suffix}"] = wilson(correct[known].sum(), known.sum())
            estimates[f"accuracy_on_detected{suffix}"] = wilson(correct[known].sum(), found[known].sum())
        return estimates
