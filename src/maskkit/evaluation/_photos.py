"""Evaluation on annotated photos: how many faces are found, and how many of those judged rightly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit._labels import match_labels
from maskkit.evaluation._checks import check_resamples, list_classes
from maskkit.evaluation._counts import FOUND_IOU, SIZES, Annotated, PhotoCounts
from maskkit.evaluation._report import plain, report_to, resolve_reporters
from maskkit.reporters._base import Reporter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class PhotoEvaluation(Tabulated):
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
        Figures with 95 % intervals: Wilson's for shares, which takes faces for independent, and
        bootstrapped over photos for the rest.
    curves : dict
        Class -> (recall, precision) of its detections at IoU 0.5, the surest first; only classes that
        are annotated have one.
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
        note = f"Found: IoU {FOUND_IOU} or more. End to end, a face missed and a detection of no face are mistakes."
        if self.n_unknown:
            note += f" Faces of other classes, counted for finding only: {self.n_unknown:,}."
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
                note,
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
                self.curves, {label: self.estimates[f"ap50/{label}"] for label in self.curves}
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
    NotFittedError
        If the classifier is not fitted.
    ImageError
        If a photo cannot be read.
    ValueError
        If there are no photos, or none of their labels is one of the classifier's.

    Notes
    -----
    A bootstrapped figure of 0 or 1 that no sample changes has the interval of a share of as many faces.
    """
    check_resamples(n_resamples)
    takers = resolve_reporters(reporters)
    photos = list(photos)
    if strangers := [photo for photo in photos if not hasattr(photo, "boxes_xyxy")]:
        raise TypeError(f"photos holds {strangers[0]!r}; want a list of AnnotatedPhoto, as load_photos gives.")
    classes = list_classes(classifier)
    meant = match_labels((str(label) for photo in photos for label in photo.labels), classes)
    if not meant:
        raise ValueError(
            f"photos hold no face of a class that the classifier knows ({', '.join(map(repr, classes))}); "
            f"want a list of AnnotatedPhoto, as load_photos gives."
        )
    counts = PhotoCounts(classes, meant)
    for photo, result in zip(photos, classifier.predict_photos([photo.path for photo in photos]), strict=True):
        counts.add(photo, result)
    evaluation = PhotoEvaluation(
        tuple(classes),
        len(photos),
        counts.n_faces,
        counts.n_unknown,
        counts.confusion,
        counts.estimate(n_resamples, np.random.default_rng(random_state)),
        counts.curves(),
    )
    report_to(takers, evaluation)
    return evaluation
