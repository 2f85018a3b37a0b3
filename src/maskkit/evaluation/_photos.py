"""Evaluation on annotated photos: detection and classification."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate, Record, Rows, Table, Tabulated, to_plain
from maskkit._images.quality import SIZE_BINS
from maskkit._labels import match_labels
from maskkit.evaluation._evaluation import SCHEMA_VERSION
from maskkit.evaluation._inputs import check_resampling, list_classes
from maskkit.evaluation._photo_counts import MATCH_IOU, Annotated, PhotoCounts
from maskkit.reporters._base import Reporter, report_to, resolve_reporters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class PhotoEvaluation(Tabulated, Record):
    """Evaluation of a classifier and its detector on annotated photos.

    A face is detected if a detection overlaps it with an IoU of at least 0.4, one to one. End to end, a missed face is
    a false negative of its class, and a detection without an annotated face is a false positive of the predicted class.
    Faces of classes that the classifier does not have count for detection only. A face is detected twice if a further
    detection, which is that of no other face, covers more than half of it or lies more than half in it.

    Attributes
    ----------
    classes : tuple
        Classes in the classifier's order.
    n_photos, n_faces : int
        Number of photos and of annotated faces.
    n_unknown : int
        Number of faces of classes that the classifier does not have.
    confusion : ndarray of shape (n_classes + 1, n_classes + 1), int64
        Rows are true classes, the last one for detections without an annotated face; columns are predicted classes,
        the last one for missed faces.
    estimates : dict of str to Estimate
        Metrics with 95 % intervals: Wilson intervals for proportions, which treat faces as independent, and intervals
        bootstrapped over photos for the others.
    curves : dict
        Annotated class -> (recall, precision) of its detections at an IoU of 0.5, by decreasing score.
    """

    classes: tuple[Any, ...]
    n_photos: int
    n_faces: int
    n_unknown: int
    confusion: NDArray[np.int64]
    estimates: Mapping[str, Estimate]
    curves: Mapping[Any, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def metrics(self) -> dict[str, Estimate]:
        """Return all metrics by name."""
        return dict(self.estimates)

    def tables(self) -> tuple[Table, ...]:
        """Return tables of metrics, by class and by face size, and of the confusion matrix."""
        overall: Rows = tuple((meaning, self.estimates[name]) for name, meaning in _MEANINGS.items())
        note = (
            f"Detected: IoU of at least {MATCH_IOU}. Unannotated faces that are detected count against precision. "
            "End to end, missed faces and detections without a face are mistakes."
        )
        if self.n_unknown:
            note += f" Faces of other classes, counted for detection only: {self.n_unknown:,}."

        def select(group: Any, *names: str) -> tuple[Estimate, ...]:
            return tuple(self.estimates[f"{name}/{group}"] for name in names)

        by_class: Rows = tuple(
            (str(label), *select(label, "detection_recall", "end_to_end_recall", "ap50")) for label in self.classes
        )
        proportions = [
            (size, select(size, "detection_recall", "end_to_end_recall", "accuracy_on_detected")) for size in SIZE_BINS
        ]
        twice = {size: self.estimates[f"duplicate_rate/{size}"] for size in SIZE_BINS}
        by_size: Rows = tuple(
            (size, found.n, found, round(twice[size].value * found.n) if found.n else 0, *others)
            for size, (found, *others) in proportions
        )
        size_columns = ("longer side", "faces", "detected", "twice", "end-to-end", "accuracy on detected")
        counts = self.confusion.tolist()
        # This cell has no meaning: a face that is neither annotated nor detected.
        counts[-1][-1] = None
        names = (*map(str, self.classes), "no face")
        confusion = tuple((name, *row) for name, row in zip(names, counts, strict=True))
        title = f"{self.n_photos:,} photos, {self.n_faces:,} faces"
        return (
            Table(title, ("metric", "value [95 % interval]"), overall, note),
            Table("By class", ("class", "detection recall", "end-to-end recall", "AP@0.5"), by_class),
            Table("By face size", size_columns, by_size),
            Table("Confusion: rows are true classes", ("true", *map(str, self.classes), "missed"), confusion),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        values = super().to_dict()
        curves = {label: {"recall": recall, "precision": points} for label, (recall, points) in self.curves.items()}
        values |= {"curves": to_plain(curves)}
        return {"schema_version": SCHEMA_VERSION, "kind": "photos", "metrics": values.pop("estimates")} | values

    def figures(self, *, blur: bool = False) -> dict[str, "Figure"]:
        """Draw end-to-end recall by face size, and precision-recall curves, as matplotlib figures by name.

        No face is shown, so that `blur` changes nothing.
        """
        from maskkit.evaluation import _plots

        recall = {size: self.estimates[f"end_to_end_recall/{size}"] for size in SIZE_BINS}
        average = {label: self.estimates[f"ap50/{label}"] for label in self.curves}
        return {
            "by_size": _plots.draw_sizes(recall),
            "precision_recall": _plots.draw_precision(self.curves, average),
        }


_MEANINGS = {
    "detection_recall": "detection recall",
    "duplicate_rate": "detected twice",
    "detection_precision": "detection precision",
    "detection_ap50": "detection AP@0.5",
    "end_to_end_recall": "end-to-end recall",
    "accuracy_on_detected": "accuracy on detected faces",
    "balanced_accuracy": "balanced accuracy on detected faces",
    "map50": "mAP@0.5",
    "f1": "end-to-end macro F1",
    "f1_on_detected": "macro F1 on detected faces",
}


def evaluate_photos(
    classifier: Any,
    photos: Sequence[Annotated],
    *,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> PhotoEvaluation:
    """Evaluate a classifier and its detector on annotated photos.

    Parameters
    ----------
    classifier : fitted MaskClassifier
    photos : sequence of AnnotatedPhoto
        Photos from `maskkit.datasets.load_photos`. Case and punctuation of labels do not matter.
    reporters : str, Reporter or several, default=()
        Names (``"console"``, ``"json:report.json"``, ...) or instances that receive the evaluation.
    n_resamples : int, default=1000
        Number of bootstrap samples. Photos are resampled, because the faces of one photo are similar.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    evaluation : PhotoEvaluation

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ImageError
        If a photo cannot be read.
    TypeError
        If an item is not an annotated photo.
    ValueError
        If there are no photos, or none of their labels is a class of the classifier.

    Notes
    -----
    A bootstrapped metric of 0 or 1 that no sample changes has the Wilson interval of a proportion of the same number
    of faces.
    """
    n_resamples, random_state = check_resampling(n_resamples, random_state)
    resolved = resolve_reporters(reporters)
    photos = list(photos)
    if unexpected := [photo for photo in photos if not hasattr(photo, "boxes_xyxy")]:
        raise TypeError(f"photos contains {unexpected[0]!r}; want a list of AnnotatedPhoto, from load_photos.")
    classes = list_classes(classifier)
    known_labels = match_labels((str(label) for photo in photos for label in photo.labels), classes)
    if not known_labels:
        raise ValueError(
            f"no annotated face has a class of the classifier ({', '.join(map(repr, classes))}); "
            f"want a list of AnnotatedPhoto, from load_photos."
        )
    counts = PhotoCounts(classes, known_labels)
    for photo, result in zip(photos, classifier.predict_photos([photo.path for photo in photos]), strict=True):
        counts.add(photo, result)
    evaluation = PhotoEvaluation(
        tuple(classes),
        len(photos),
        counts.n_faces,
        counts.n_faces - int(counts.confusion[:-1].sum()),
        counts.confusion,
        counts.estimate(n_resamples, np.random.default_rng(random_state)),
        counts.curves(),
    )
    report_to(resolved, evaluation)
    return evaluation
