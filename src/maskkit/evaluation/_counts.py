"""What was annotated and what was said, photo by photo, and the figures that follow."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate
from maskkit._model.results import PhotoResult
from maskkit.evaluation._metrics import (
    average_precision,
    bootstrapped,
    class_scores,
    macro,
    match_boxes,
    precision_recall,
    resample,
    wilson,
)
from maskkit.exceptions import ImageError

# A face counts as found from this overlap on; faces are small and annotators draw them loosely.
FOUND_IOU = 0.4
# The overlap of "AP50", as in PASCAL VOC.
AP_IOU = 0.5

SIZES = {"<16 px": (0, 16), "16-32 px": (16, 32), "32-64 px": (32, 64), "64+ px": (64, np.inf)}

Ints = NDArray[np.int64]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
# Detections, the surest first, right or not, each with its photo; and what each photo has to find.
Ranking = tuple[NDArray[np.bool_], Ints, Ints]


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


class PhotoCounts:
    """Adds up photos.

    Parameters
    ----------
    classes : sequence
        In the classifier's order.
    meant : dict
        Annotated label -> class; a label that is not in it is of a class unknown to the classifier.
    """

    def __init__(self, classes: Sequence[Any], meant: Mapping[str, Any]):
        self.classes = classes
        # One past the classes: a truth that the classifier does not know, and the answer of a face missed.
        self.unknown = len(classes)
        self.indices = {label: classes.index(known) for label, known in meant.items()}
        self.confusions: list[Ints] = []
        # Of each photo, a row a face: class, longer side in px, found, right.
        self.faces: list[NDArray[np.float64]] = []
        self.n_detections = 0
        self.n_detected_faces = 0
        # Of each class (None: of any), for each photo, rows of score, right or not, photo.
        self.detections: dict[Any, list[NDArray[np.float64]]] = {label: [] for label in (None, *classes)}

    @property
    def confusion(self) -> Ints:
        """Count of each truth and answer, (n_classes + 1, n_classes + 1)."""
        return np.sum(self.confusions, axis=0)

    @property
    def n_faces(self) -> int:
        """Annotated faces."""
        return sum(map(len, self.faces))

    @property
    def n_unknown(self) -> int:
        """Annotated faces of classes that the classifier does not know."""
        return self.n_faces - int(self.confusion[:-1].sum())

    def add(self, photo: Annotated, result: PhotoResult) -> None:
        """Count one photo."""
        if result.error is not None:
            raise ImageError(result.error)
        truths = np.array([self.indices.get(str(label), self.unknown) for label in photo.labels], dtype=np.int64)
        truth_boxes = np.asarray(photo.boxes_xyxy, dtype=np.float64).reshape(-1, 4)
        faces = list(result)
        boxes = np.array([face.box for face in faces], dtype=np.float64).reshape(-1, 4)
        scores = np.array([face.detection_score for face in faces], dtype=np.float64)
        sureness = scores * np.array([face.probability for face in faces], dtype=np.float64)
        said = np.array([self.classes.index(face.label) for face in faces], dtype=np.int64)

        found = match_boxes(boxes, scores, truth_boxes, iou=FOUND_IOU)
        is_face = found >= 0
        answers = np.full(len(truths), self.unknown)
        answers[found[is_face]] = said[is_face]
        is_found = answers != self.unknown
        sides = (truth_boxes[:, 2:] - truth_boxes[:, :2]).max(axis=1)
        self.faces.append(np.column_stack([truths, sides, is_found, is_found & (answers == truths)]))
        self.n_detections += len(faces)
        self.n_detected_faces += int(is_face.sum())

        confusion = np.zeros((self.unknown + 1, self.unknown + 1), dtype=np.int64)
        is_known = truths != self.unknown
        np.add.at(confusion, (truths[is_known], answers[is_known]), 1)
        np.add.at(confusion[self.unknown], said[~is_face], 1)
        self.confusions.append(confusion)

        self._rank(None, scores, match_boxes(boxes, scores, truth_boxes, iou=AP_IOU) >= 0)
        for index, label in enumerate(self.classes):
            mine = said == index
            candidates = (truths == index) | ~is_known
            matches = match_boxes(boxes[mine], sureness[mine], truth_boxes[candidates], iou=AP_IOU)
            # Where nothing matches, -1 picks what is appended.
            hit = np.append(truths[candidates], -1)[matches]
            counts = hit != self.unknown
            self._rank(label, sureness[mine][counts], hit[counts] == index)

    def estimate(self, n_resamples: int, rng: np.random.Generator) -> dict[str, Estimate]:
        """Give the figures by name: shares with Wilson's intervals, the rest bootstrapped over photos."""
        confusions = np.array(self.confusions)
        n_photos = len(confusions)
        rankings = self._rankings()

        def values(counts: Ints) -> NDArray[np.float64]:
            """Give all bootstrapped figures of photos drawn so often."""
            precisions = [
                average_precision(is_right, counts[photo], float((counts * n_truths).sum()))
                for is_right, photo, n_truths in rankings.values()
            ]
            confusion = np.tensordot(counts, confusions, 1)
            _, recall_if_found, f1_if_found = class_scores(confusion[:-1, :-1])
            return np.array(
                [
                    *precisions,
                    macro(np.array(precisions[1:])),
                    macro(class_scores(confusion)[2][:-1]),
                    macro(f1_if_found),
                    macro(recall_if_found),
                ]
            )

        n_by_class = self.confusion[:-1].sum(axis=1).tolist()
        n_found = int(self.confusion[:-1, :-1].sum())
        counted_on = {"detection_ap50": self.n_faces}
        counted_on |= {f"ap50/{label}": n for label, n in zip(self.classes, n_by_class, strict=True)}
        counted_on |= {"map50": sum(n_by_class), "f1": sum(n_by_class)}
        counted_on |= {"f1_if_found": n_found, "balanced_accuracy": n_found}
        value = values(np.ones(n_photos, dtype=np.int64))
        samples = np.array([values(counts) for counts in resample(n_photos, n_resamples, rng)])
        return self._shares() | {
            name: bootstrapped(float(value[index]), samples[:, index], n)
            for index, (name, n) in enumerate(counted_on.items())
        }

    def curves(self) -> dict[Any, Curve]:
        """Give recall and precision of each class that is annotated, the surest detection first."""
        return {
            label: precision_recall(is_right, np.ones(len(is_right)), float(n_truths.sum()))
            for label, (is_right, _, n_truths) in self._rankings().items()
            if label is not None and n_truths.any()
        }

    def _rank(self, label: Any, scores: NDArray[np.float64], is_right: NDArray[np.bool_]) -> None:
        photo = np.full(len(scores), len(self.confusions) - 1)
        self.detections[label].append(np.column_stack([scores, is_right, photo]))

    def _rankings(self) -> dict[Any, Ranking]:
        """Sort the detections of any class (None) and of each."""
        truths = np.array(self.confusions).sum(axis=2)
        n_truths = [np.array(list(map(len, self.faces))), *truths.T[:-1]]
        rankings: dict[Any, Ranking] = {}
        for (label, detections), n in zip(self.detections.items(), n_truths, strict=True):
            scores, is_right, photo = np.concatenate(detections).T
            order = np.argsort(-scores, kind="stable")
            rankings[label] = is_right[order] > 0, photo[order].astype(np.int64), n
        return rankings

    def _shares(self) -> dict[str, Estimate]:
        """Estimate the shares of faces found and rightly judged, in all, by class and by size."""
        truth, side, found, right = np.concatenate(self.faces).T
        is_known = truth != self.unknown
        estimates = {"detection_precision": wilson(self.n_detected_faces, self.n_detections)}
        groups = {"": np.ones(len(truth), dtype=bool)}
        groups |= {f"/{label}": truth == index for index, label in enumerate(self.classes)}
        groups |= {f"/{size}": (side >= low) & (side < high) for size, (low, high) in SIZES.items()}
        for suffix, group in groups.items():
            known = group & is_known
            estimates[f"found{suffix}"] = wilson(found[group].sum(), group.sum())
            estimates[f"found_and_right{suffix}"] = wilson(right[known].sum(), known.sum())
            estimates[f"right_if_found{suffix}"] = wilson(right[known].sum(), found[known].sum())
        return estimates
