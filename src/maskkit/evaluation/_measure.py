"""From truths and probabilities to every figure of an evaluation, with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from maskkit._display.tables import Estimate
from maskkit.evaluation import _calibration
from maskkit.evaluation._metrics import bootstrapped, class_scores, macro, mean_share, roc_auc
from maskkit.evaluation._resampling import Resampling, accuracy_of, count_cells
from maskkit.evaluation._slices import Column, Group
from maskkit.evaluation._trust import Reliability, RiskCoverage

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Measurement:
    """All figures of some judged faces.

    Parameters
    ----------
    truths : ndarray of shape (n_faces,), int64
        Index of the class.
    proba : ndarray of shape (n_faces, n_classes), float64
    classes : sequence
    columns : sequence of Column
        What to slice by.
    resampling : Resampling
    """

    def __init__(
        self, truths: Ints, proba: Floats, classes: Sequence[Any], columns: Sequence[Column], resampling: Resampling
    ):
        self.truths, self.proba, self.classes, self.resampling = truths, proba, list(classes), resampling
        self.said = proba.argmax(axis=1)
        self.is_right = self.said == truths
        self.confidence = proba.max(axis=1)
        everything = Column("", ("",), np.zeros(len(truths), dtype=np.int64))
        bins = _calibration.bin_equally_wide(self.confidence)
        by_bin = Column("confidence", ("",) * _calibration.N_BINS, bins)
        self._columns = [everything, by_bin, *columns]
        self._areas = self._prepare_areas()
        self._expected = _calibration.expected_error(self.confidence, self.is_right)
        self._squared = _calibration.squared_errors(self.confidence, self.is_right)
        self._losses = _calibration.brier_losses(proba, truths)
        self._curve = _calibration.risk_coverage(self.confidence, self.is_right)
        self.confusions, self._values = self._compute(np.ones(len(truths)))
        drawn = [self._compute(weights) for weights in resampling.weights()]
        # Of each column, (n_resamples, n_groups, n_classes, n_classes).
        self._confusion_samples = [
            np.stack(of_column) for of_column in zip(*(counts for counts, _ in drawn), strict=True)
        ]
        self._samples = np.array([values for _, values in drawn])

    @property
    def confusion(self) -> Ints:
        """Rows are truths, columns predictions."""
        return self.confusions[0][0].astype(np.int64)

    def estimate(self) -> dict[str, Estimate]:
        """Give the figures of all faces by name."""
        n_faces = len(self.truths)
        samples = self._confusion_samples[0][:, 0]
        everyone = np.ones(n_faces, dtype=bool)
        estimates = {"accuracy": self.resampling.share(self.is_right, everyone, accuracy_of(samples))}
        values = dict(zip(("precision", "recall", "f1"), class_scores(self.confusions[0][0]), strict=True))
        by_class = dict(zip(("precision", "recall", "f1"), class_scores(samples), strict=True))
        for name in ("precision", "f1"):
            estimates[name] = bootstrapped(float(macro(values[name])), macro(by_class[name]), n_faces)
        auc, expected, raw, debiased, brier, area = self._values[:6]
        drawn = self._samples.T
        estimates["auc"] = bootstrapped(auc, drawn[0], n_faces)
        estimates["ece"] = _calibration.estimate_error(expected, drawn[1], n_faces)
        estimates["rms_calibration_error"] = _calibration.estimate_debiased(raw, debiased, drawn[3], n_faces)
        estimates["brier"] = bootstrapped(brier, drawn[4], n_faces)
        estimates["aurc"] = bootstrapped(area, drawn[5], n_faces)
        for index, label in enumerate(self.classes):
            counted = {"precision": self.said == index, "recall": self.truths == index}
            for name, counts in counted.items():
                share = self.resampling.share(self.is_right, counts, by_class[name][:, index])
                estimates[f"{name}/{label}"] = share
            n = int(counted["recall"].sum())
            estimates[f"f1/{label}"] = bootstrapped(float(values["f1"][index]), by_class["f1"][:, index], n)
        estimates["recall"] = mean_share(estimates[f"recall/{label}"] for label in self.classes)
        return estimates

    def groups(self) -> tuple[Group, ...]:
        """Give the groups that hold faces."""
        groups = []
        for place, column in enumerate(self._columns[2:], start=2):
            recalls = class_scores(self._confusion_samples[place])[1]
            for index, name in enumerate(column.groups):
                n_faces = int(self.confusions[place][index].sum())
                if n_faces:
                    samples = recalls[:, index]
                    of_group = column.index == index
                    recall = mean_share(
                        self.resampling.share(self.is_right, of_group & (self.truths == of_class), samples[:, of_class])
                        for of_class in range(len(self.classes))
                    )
                    groups.append(Group(column.name, name, n_faces, self._accuracy(place, index), recall))
        return tuple(groups)

    def reliability(self) -> Reliability:
        """Give accuracy against confidence, by bins."""
        confidence = self.confidence
        bins = self._columns[1].index
        n_bins = _calibration.N_BINS
        n = np.bincount(bins, minlength=n_bins)
        with np.errstate(invalid="ignore"):
            means = np.bincount(bins, confidence, n_bins) / n
        return Reliability(means, tuple(self._accuracy(1, index) for index in range(n_bins)))

    def risk_coverage(self) -> RiskCoverage:
        """Give the share of mistakes among the faces answered, against their share."""
        low, high = np.percentile(self._samples[:, 6:], [2.5, 97.5], axis=0)
        return RiskCoverage(_calibration.COVERAGE, self._values[6:], low, high)

    def roc(self) -> dict[Any, tuple[Floats, Floats]]:
        """Give the ROC curve of each class that has faces, and others beside it."""
        return {
            label: roc_curve(self.truths == index, self.proba[:, index])[:2]
            for index, label in enumerate(self.classes)
            if 0 < (self.truths == index).sum() < len(self.truths)
        }

    def list_mistakes(self) -> Ints:
        """Give the faces misjudged, the surest first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    def _accuracy(self, place: int, index: int) -> Estimate:
        samples = accuracy_of(self._confusion_samples[place][:, index])
        return self.resampling.share(self.is_right, self._columns[place].index == index, samples)

    def _compute(self, weights: NDArray[Any]) -> tuple[list[Floats], Floats]:
        """Give the confusion of each group of each column, and the other figures in a row."""
        n_classes = len(self.classes)
        confusions = [
            count_cells(self.truths, self.said, column.index, (len(column.groups), n_classes), weights)
            for column in self._columns
        ]
        auc = float(macro(np.array([area(weights) for area in self._areas], dtype=np.float64)))
        brier = float(np.dot(weights, self._losses) / weights.sum())
        area, risks = self._curve(weights)
        return confusions, np.array([auc, self._expected(weights), *self._squared(weights), brier, area, *risks])

    def _prepare_areas(self) -> list[Any]:
        # Of two classes, either one's curve encloses the same area.
        indices = range(1, 2) if len(self.classes) == 2 else range(len(self.classes))
        return [roc_auc(self.truths == index, self.proba[:, index]) for index in indices]
