"""Evaluation of labeled faces: computation, contents and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from maskkit._display.tables import Estimate, Record, Rows, Table, Tabulated, to_plain
from maskkit._images.load import ImageSource, RgbImage, load_image
from maskkit._metrics.scores import Floats, Ints, class_scores, macro
from maskkit.evaluation import _calibration
from maskkit.evaluation._calibration import Reliability, RiskCoverage
from maskkit.evaluation._inputs import describe_left_out
from maskkit.evaluation._intervals import Resampling, bootstrapped, mean_share
from maskkit.evaluation._metrics import roc_auc
from maskkit.evaluation._slices import Column, Group, find_worst, make_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_MISTAKES_SHOWN = 10

SCHEMA_VERSION = 1
"""Version of the fields of `to_dict` of all kinds: raised when a field is removed or changes its meaning."""

# Metric -> its name in tables.
MEANINGS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "auc": "auc",
    "ece": "calibration error (ECE)",
    "rms_calibration_error": "calibration error, debiased",
    "brier": "Brier score",
    "aurc": "area under risk-coverage",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A face that was classified incorrectly.

    Attributes
    ----------
    source : image
        The image as it was passed.
    name : str
        Path, or form and position of the source.
    true_label, predicted_label : str or int
        Annotated and predicted class.
    probability : float
        Confidence: probability of the predicted class, range 0 to 1.
    face : int or None
        Index of the face in an annotated photo, from 0; None for an image of one face.
    """

    source: ImageSource
    name: str
    true_label: Any
    predicted_label: Any
    probability: float
    face: int | None = None

    @property
    def place(self) -> str:
        """Path that can be opened, and index of the face in a photo, for tables."""
        return self.name if self.face is None else f"{self.name} face {self.face}"

    @property
    def short_place(self) -> str:
        """File name, and index of the face in a photo, for pictures."""
        return self.place.removeprefix(self.name.removesuffix(Path(self.name).name))

    def _cells(self) -> tuple[str, str, str, float]:
        """Return place, true and predicted class, and confidence, for tables."""
        return self.place, str(self.true_label), str(self.predicted_label), self.probability

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the picture as plain values that JSON can hold."""
        values = {"file": self.name, "true": self.true_label, "predicted": self.predicted_label}
        values["probability"] = self.probability
        return values if self.face is None else values | {"face": self.face}

    def image(self) -> RgbImage:
        """Load the crop."""
        return load_image(self.source, name=self.name)


@dataclass(frozen=True, eq=False)
class Evaluation(Tabulated, Record):
    """Evaluation of a classifier on labeled faces.

    Attributes
    ----------
    classes : tuple
        Classes in the classifier's order.
    n_faces : int
        Number of evaluated faces.
    left_out : dict of str to int
        Number of faces with incorrectly worn masks, by label, if the classifier has no such class. They are not
        evaluated, because no prediction would be correct.
    n_photos : int or None
        Number of photos that the faces were cropped from; intervals are then computed over photos.
    confusion : ndarray of shape (n_classes, n_classes), int64
        Rows are true classes, columns are predicted classes.
    estimates : dict of str to Estimate
        Metrics with 95 % intervals: ``accuracy``, ``precision/CLASS``, ``recall/CLASS``,
        ``f1/CLASS``, ``precision``, ``recall`` and ``f1`` (means over classes), ``auc`` (for two
        classes; for more, the mean of one class against the rest), ``ece`` and ``rms_calibration_error``,
        ``brier``, ``aurc``, and ``accuracy/SLICE/GROUP`` and ``recall/SLICE/GROUP``.
    groups : tuple of Group
        Faces grouped by size, brightness, sharpness and the given columns.
    roc : dict
        Class -> (false positive rates, true positive rates) of this class against the rest. A class
        without faces, or with all of them, has no curve.
    reliability : Reliability
    risk_coverage : RiskCoverage
    mistakes : tuple of Mistake
        Sorted by confidence, highest first.
    """

    classes: tuple[Any, ...]
    n_faces: int
    left_out: Mapping[str, int]
    n_photos: int | None
    confusion: NDArray[np.int64]
    estimates: Mapping[str, Estimate]
    groups: tuple[Group, ...]
    roc: Mapping[Any, tuple[NDArray[np.float64], NDArray[np.float64]]]
    reliability: Reliability
    risk_coverage: RiskCoverage
    mistakes: tuple[Mistake, ...]

    @property
    def worst_group(self) -> Group | None:
        """The group of at least 30 faces with the lowest accuracy, if that is below the accuracy of all faces."""
        return find_worst(self.groups, self.estimates["accuracy"].value)

    def metrics(self) -> dict[str, Estimate]:
        """Return all metrics by name."""
        return dict(self.estimates)

    def tables(self) -> tuple[Table, ...]:
        """Return tables of metrics, classes, slices, the confusion matrix and the most confident mistakes."""
        overall: Rows = tuple((meaning, self.estimates[name]) for name, meaning in MEANINGS.items())
        scores = ("precision", "recall", "f1")
        by_class: Rows = tuple(
            (str(label), int(count), *(self.estimates[f"{score}/{label}"] for score in scores))
            for label, count in zip(self.classes, self.confusion.sum(axis=1), strict=True)
        )
        confusion: Rows = tuple((str(label), *row) for label, row in zip(self.classes, self.confusion, strict=True))
        worst: Rows = tuple(mistake._cells() for mistake in self.mistakes[:N_MISTAKES_SHOWN])
        over = "" if self.n_photos is None else f" of {self.n_photos:,} photos"
        note = " ".join(["Precision, recall and f1 are means over classes.", *self.remarks()])
        tables = (
            Table(f"{self.n_faces:,} faces{over}", ("metric", "value [95 % interval]"), overall, note),
            Table("By class", ("class", "faces", "precision", "recall", "f1"), by_class),
            make_table(self.groups, self.worst_group),
            Table("Confusion: rows are true classes", ("true", *map(str, self.classes)), confusion),
        )
        if not worst:
            return tables
        title = f"Most confident of {len(self.mistakes)} mistakes" if len(self.mistakes) > len(worst) else "Mistakes"
        return (*tables, Table(title, ("file", "true", "predicted", "confidence"), worst))

    def remarks(self) -> list[str]:
        """Return sentences about faces that were left out, and about the intervals."""
        over_photos = "" if self.n_photos is None else "Intervals are computed over photos."
        return [remark for remark in (describe_left_out(self.left_out), over_photos) if remark]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        values = super().to_dict()
        curves = {label: {"false_positive_rate": x, "true_positive_rate": y} for label, (x, y) in self.roc.items()}
        values |= to_plain({"worst_group": self.worst_group, "roc": curves})
        return {"schema_version": SCHEMA_VERSION, "kind": "faces", "metrics": values.pop("estimates")} | values

    def figures(self, *, blur: bool = False) -> dict[str, "Figure"]:
        """Draw confusion, ROC, reliability, risk-coverage, slices and mistakes, as matplotlib figures by name.

        Parameters
        ----------
        blur : bool, default=False
            Whether to make the faces of the mistakes unrecognizable.
        """
        from maskkit.evaluation import _plots

        drawn = {"confusion_matrix": _plots.draw_confusion(self.confusion, self.classes)}
        if self.roc:
            drawn["roc"] = _plots.draw_roc(self.roc, self.estimates["auc"])
        drawn["reliability"] = _plots.draw_reliability(self.reliability, self.estimates["ece"])
        drawn["risk_coverage"] = _plots.draw_risk_coverage(self.risk_coverage, self.estimates["aurc"])
        drawn["slices"] = _plots.draw_groups(self.groups, self.estimates["accuracy"])
        drawn["worst_mistakes"] = _plots.draw_mistakes(self.mistakes, blur=blur)
        return drawn


class Measurement:
    """Metrics of faces, with true class indices (n_faces,) and probabilities (n_faces, n_classes), and of samples."""

    def __init__(self, true: Ints, proba: Floats, classes: Sequence[Any], resampling: Resampling):
        self.true, self.proba, self.classes, self.resampling = true, proba, list(classes), resampling
        self.predicted = proba.argmax(axis=1)
        self.is_correct = self.predicted == true
        self.confidence = proba.max(axis=1)
        # With two classes, both curves have the same area.
        indices = range(1, 2) if len(classes) == 2 else range(len(classes))
        self._areas = [roc_auc(true == index, proba[:, index]) for index in indices]
        self._expected = _calibration.expected_error(self.confidence, self.is_correct)
        self._squared = _calibration.squared_errors(self.confidence, self.is_correct)
        self._losses = _calibration.brier_losses(proba, true)
        self._curve = _calibration.risk_coverage(self.confidence, self.is_correct)
        self.confusion = self._count(np.ones(len(true))).astype(np.int64)
        self._values = self._compute(np.ones(len(true)))
        drawn = [self._compute(weights) for weights in resampling.weights()]
        self._samples = {name: np.array([values[name] for values in drawn]) for name in self._values}

    def estimate(self) -> dict[str, Estimate]:
        """Return the metrics of all faces by name."""
        n_faces, values, samples = len(self.true), self._values, self._samples
        members = {"accuracy": np.ones(n_faces, dtype=bool)}
        for index, label in enumerate(self.classes):
            members |= {f"precision/{label}": self.predicted == index, f"recall/{label}": self.true == index}
        estimates = self.resampling.shares(self.is_correct, members)
        for index, label in enumerate(self.classes):
            f1, n = float(values["f1_by_class"][index]), estimates[f"recall/{label}"].n
            estimates[f"f1/{label}"] = bootstrapped(f1, samples["f1_by_class"][:, index], n)
        estimates["recall"] = mean_share(estimates[f"recall/{label}"] for label in self.classes)
        for name in ("precision", "f1", "auc", "brier", "aurc"):
            estimates[name] = bootstrapped(float(values[name]), samples[name], n_faces)
        estimates["ece"] = _calibration.estimate_error(values["ece"], samples["ece"], n_faces)
        estimates["rms_calibration_error"] = _calibration.estimate_debiased(
            values["squared_error"], values["debiased_error"], samples["debiased_error"], n_faces
        )
        return estimates

    def groups(self, columns: Sequence[Column]) -> tuple[Group, ...]:
        """Return the groups that contain faces."""
        indices = range(len(self.classes))
        members: dict[tuple[str, str, int | None], NDArray[np.bool_]] = {}
        for column in columns:
            for place in np.unique(column.index):
                group = column.index == place
                key = (column.name, column.groups[place])
                members |= {(*key, None): group} | {(*key, index): group & (self.true == index) for index in indices}
        shares = self.resampling.shares(self.is_correct, members)
        return tuple(
            Group(slice_, name, accuracy.n, accuracy, mean_share(shares[slice_, name, index] for index in indices))
            for (slice_, name, of_class), accuracy in shares.items()
            if of_class is None
        )

    def reliability(self) -> Reliability:
        """Return accuracy against confidence, in bins."""
        bins, n_bins = _calibration.bin_equally_wide(self.confidence), _calibration.N_BINS
        accuracy = self.resampling.shares(self.is_correct, {index: bins == index for index in range(n_bins)})
        with np.errstate(invalid="ignore"):
            means = np.bincount(bins, self.confidence, n_bins) / np.bincount(bins, minlength=n_bins)
        return Reliability(means, tuple(accuracy.values()))

    def risk_coverage(self) -> RiskCoverage:
        """Return the error rate against the fraction of faces that are classified."""
        low, high = np.percentile(self._samples["risk"], [2.5, 97.5], axis=0)
        return RiskCoverage(_calibration.COVERAGE, self._values["risk"], low, high)

    def roc(self) -> dict[Any, tuple[Floats, Floats]]:
        """Return the ROC curve of each class that some, but not all, faces have."""
        return {
            label: roc_curve(self.true == index, self.proba[:, index])[:2]
            for index, label in enumerate(self.classes)
            if 0 < (self.true == index).sum() < len(self.true)
        }

    def list_mistakes(self) -> Ints:
        """Return the indices of misclassified faces, the most confident first."""
        wrong = np.flatnonzero(~self.is_correct)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    def _count(self, weights: NDArray[Any]) -> Floats:
        """Return the confusion matrix: rows are true classes, columns are predicted classes."""
        n_classes = len(self.classes)
        cells = self.true * n_classes + self.predicted
        return np.bincount(cells, weights, n_classes**2).astype(np.float64).reshape(n_classes, n_classes)

    def _compute(self, weights: NDArray[Any]) -> dict[str, Any]:
        """Return the bootstrapped metrics of faces that are drawn `weights` times."""
        precision, _, f1 = class_scores(self._count(weights))
        values: dict[str, Any] = {"precision": macro(precision), "f1": macro(f1), "f1_by_class": f1}
        values["auc"] = macro(np.array([curve_area(weights) for curve_area in self._areas]))
        values["ece"] = self._expected(weights)
        values["squared_error"], values["debiased_error"] = self._squared(weights)
        values["brier"] = np.dot(weights, self._losses) / weights.sum()
        values["aurc"], values["risk"] = self._curve(weights)
        return values
