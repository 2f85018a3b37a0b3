"""What an evaluation of labelled faces holds, and how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit._images.load import ImageSource, RgbImage, load_image
from maskkit.evaluation._report import name_left_out, plain
from maskkit.evaluation._slices import Group, find_worst, make_table
from maskkit.evaluation._trust import Reliability, RiskCoverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_MISTAKES_SHOWN = 10

# What the figures of a table are called there.
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
    """A crop that was given the wrong label.

    Attributes
    ----------
    source : image
        As it was given.
    name : str
        Its path, or its form and place.
    truth, label : str or int
        What it is, and what the classifier said.
    probability : float
        Of `label`: how sure the classifier was, range 0 to 1.
    face : int or None
        Which face of an annotated photo, counted from 0; None for an image of one face.
    """

    source: ImageSource
    name: str
    truth: Any
    label: Any
    probability: float
    face: int | None = None

    @property
    def place(self) -> str:
        """File name, and which face of the photo, for tables."""
        name = Path(self.name).name
        return name if self.face is None else f"{name} face {self.face}"

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the picture as plain values that JSON can hold."""
        values = {"file": self.name, "truth": self.truth, "label": self.label, "probability": self.probability}
        return values if self.face is None else values | {"face": self.face}

    def image(self) -> RgbImage:
        """Read the crop (again)."""
        return load_image(self.source, name=self.name)


@dataclass(frozen=True, eq=False)
class Evaluation(Tabulated):
    """How right a classifier is on labelled faces.

    Attributes
    ----------
    classes : tuple
        In the classifier's order.
    n_faces : int
        Those judged.
    left_out : dict of str to int
        Faces of incorrectly worn masks, by label, where the classifier has no such class: not
        judged, since any answer would be wrong.
    n_photos : int or None
        Photos that the faces are of; intervals are then taken over photos.
    confusion : ndarray of shape (n_classes, n_classes), int64
        Rows are truths, columns predictions.
    estimates : dict of str to Estimate
        Figures with 95 % intervals: ``accuracy``, ``precision/CLASS``, ``recall/CLASS``,
        ``f1/CLASS``, ``precision``, ``recall`` and ``f1`` (means over classes), ``auc`` (of two
        classes; the mean of one against the rest for more), ``ece`` and ``rms_calibration_error``,
        ``brier``, ``aurc``, and ``accuracy/SLICE/GROUP`` and ``recall/SLICE/GROUP``.
    groups : tuple of Group
        Faces by size, brightness, sharpness and the columns given.
    roc : dict
        Class -> (false positive rates, true positive rates) of this class against the rest; a class
        without faces, or with all of them, has none.
    reliability : Reliability
    risk_coverage : RiskCoverage
    mistakes : tuple of Mistake
        The surest first.
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
        """The group of 30 faces or more with the lowest accuracy, if one is below that of all."""
        return find_worst(self.groups, self.estimates["accuracy"].value)

    def metrics(self) -> dict[str, Estimate]:
        """Give every figure by its name."""
        return dict(self.estimates)

    def tables(self) -> tuple[Table, ...]:
        """Give the figures, the classes, the slices, the confusion matrix and the worst mistakes as tables."""
        overall: Rows = tuple((meaning, self.estimates[name]) for name, meaning in MEANINGS.items())
        by_class: Rows = tuple(
            (
                str(label),
                int(count),
                *(self.estimates[f"{name}/{label}"] for name in ("precision", "recall", "f1")),
            )
            for label, count in zip(self.classes, self.confusion.sum(axis=1), strict=True)
        )
        confusion: Rows = tuple(
            (str(label), *map(int, row)) for label, row in zip(self.classes, self.confusion, strict=True)
        )
        worst: Rows = tuple(
            (mistake.place, str(mistake.truth), str(mistake.label), mistake.probability)
            for mistake in self.mistakes[:N_MISTAKES_SHOWN]
        )
        over = "" if self.n_photos is None else f" of {self.n_photos:,} photos"
        note = " ".join(["Precision, recall and f1 are means over classes.", *self.remarks()])
        tables = (
            Table(f"{self.n_faces:,} faces{over}", ("figure", "value [95 % interval]"), overall, note),
            Table("By class", ("class", "faces", "precision", "recall", "f1"), by_class),
            make_table(self.groups, self.worst_group),
            Table("Confusion: rows are truths", ("truth", *map(str, self.classes)), confusion),
        )
        if not worst:
            return tables
        title = f"Worst of {len(self.mistakes)} mistakes" if len(self.mistakes) > len(worst) else "Mistakes"
        return (*tables, Table(title, ("file", "truth", "said", "how sure"), worst))

    def remarks(self) -> list[str]:
        """Say what was left out and what was resampled."""
        over_photos = "" if self.n_photos is None else "Intervals are taken over photos."
        return [remark for remark in (name_left_out(self.left_out), over_photos) if remark]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        worst = self.worst_group
        return {
            "kind": "faces",
            "classes": list(self.classes),
            "n_faces": self.n_faces,
            "left_out": dict(self.left_out),
            "n_photos": self.n_photos,
            "confusion": self.confusion.tolist(),
            "metrics": {name: plain(estimate) for name, estimate in self.estimates.items()},
            "groups": [group.to_dict() for group in self.groups],
            "worst_group": None if worst is None else worst.to_dict(),
            "roc": {
                str(label): {"false_positive_rate": rates[0].tolist(), "true_positive_rate": rates[1].tolist()}
                for label, rates in self.roc.items()
            },
            "reliability": self.reliability.to_dict(),
            "risk_coverage": self.risk_coverage.to_dict(),
            "mistakes": [mistake.to_dict() for mistake in self.mistakes],
        }

    def figures(self) -> dict[str, "Figure"]:
        """Draw confusion, ROC, reliability, risk and coverage, slices, worst mistakes; matplotlib figures by name."""
        from maskkit.evaluation import _figures, _trust_figures

        drawn = {"confusion_matrix": _figures.draw_confusion(self.confusion, self.classes)}
        if self.roc:
            drawn["roc"] = _figures.draw_roc(self.roc, self.estimates["auc"])
        drawn["reliability"] = _trust_figures.draw_reliability(self.reliability, self.estimates["ece"])
        drawn["risk_coverage"] = _trust_figures.draw_risk(self.risk_coverage, self.estimates["aurc"])
        drawn["slices"] = _trust_figures.draw_groups(self.groups, self.estimates["accuracy"])
        drawn["worst_mistakes"] = _figures.draw_mistakes(self.mistakes)
        return drawn
