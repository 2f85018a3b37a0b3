"""Evaluation on labelled crops."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve
from sklearn.utils.validation import check_consistent_length

from maskkit._images import ImageSource, RgbImage, check_images, load_image, name_source
from maskkit._labels import index_labels
from maskkit._metrics import bootstrapped, class_scores, macro, resample, roc_auc, wilson
from maskkit._tables import Estimate, Rows, Table
from maskkit.evaluation._checks import check_proba, check_resamples, list_classes
from maskkit.evaluation._report import ReportMixin, plain, resolve_reporters
from maskkit.reporters._base import Reporter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_MISTAKES_SHOWN = 10


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
    """

    source: ImageSource
    name: str
    truth: Any
    label: Any
    probability: float

    def image(self) -> RgbImage:
        """Read the crop (again)."""
        return load_image(self.source, name=self.name)


@dataclass(frozen=True, eq=False)
class Evaluation(ReportMixin):
    """How right a classifier is on labelled crops.

    Attributes
    ----------
    classes : tuple
        In the classifier's order.
    n_faces : int
    confusion : ndarray of shape (n_classes, n_classes), int64
        Rows are truths, columns predictions.
    estimates : dict of str to Estimate
        Figures with 95 % intervals: ``accuracy``, ``precision/CLASS``, ``recall/CLASS``,
        ``f1/CLASS``, ``precision``, ``recall`` and ``f1`` (means over classes), ``auc`` (of two
        classes; the mean of one against the rest for more).
    roc : dict
        Class -> (false positive rates, true positive rates) of this class against the rest; a class
        without faces, or with all of them, has none.
    mistakes : tuple of Mistake
        The surest first.
    """

    classes: tuple[Any, ...]
    n_faces: int
    confusion: NDArray[np.int64]
    estimates: Mapping[str, Estimate]
    roc: Mapping[Any, tuple[NDArray[np.float64], NDArray[np.float64]]]
    mistakes: tuple[Mistake, ...]

    def metrics(self) -> dict[str, Estimate]:
        """Give every figure by its name."""
        return dict(self.estimates)

    def tables(self) -> tuple[Table, ...]:
        """Give the figures, the classes, the confusion matrix and the worst mistakes as tables."""
        overall: Rows = tuple((name, self.estimates[name]) for name in ("accuracy", "precision", "recall", "f1", "auc"))
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
            (Path(mistake.name).name, str(mistake.truth), str(mistake.label), mistake.probability)
            for mistake in self.mistakes[:N_MISTAKES_SHOWN]
        )
        tables = (
            Table(
                f"{self.n_faces:,} faces",
                ("figure", "value [95 % interval]"),
                overall,
                "Precision, recall and f1 are means over classes.",
            ),
            Table("By class", ("class", "faces", "precision", "recall", "f1"), by_class),
            Table("Confusion: rows are truths", ("truth", *map(str, self.classes)), confusion),
        )
        if not worst:
            return tables
        title = f"Worst of {len(self.mistakes)} mistakes" if len(self.mistakes) > len(worst) else "Mistakes"
        return (*tables, Table(title, ("file", "truth", "said", "how sure"), worst))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "kind": "faces",
            "classes": list(self.classes),
            "n_faces": self.n_faces,
            "confusion": self.confusion.tolist(),
            "metrics": {name: plain(estimate) for name, estimate in self.estimates.items()},
            "roc": {
                str(label): {"false_positive_rate": rates[0].tolist(), "true_positive_rate": rates[1].tolist()}
                for label, rates in self.roc.items()
            },
            "mistakes": [
                {
                    "file": mistake.name,
                    "truth": mistake.truth,
                    "label": mistake.label,
                    "probability": mistake.probability,
                }
                for mistake in self.mistakes
            ],
        }

    def figures(self) -> dict[str, "Figure"]:
        """Draw the confusion matrix, the ROC curves and the worst mistakes; matplotlib figures by name."""
        from maskkit.evaluation import _figures

        drawn = {"confusion_matrix": _figures.draw_confusion(self.confusion, self.classes)}
        if self.roc:
            drawn["roc"] = _figures.draw_roc(self.roc, self.estimates["auc"])
        drawn["worst_mistakes"] = _figures.draw_mistakes(self.mistakes)
        return drawn


def evaluate(
    classifier: Any,
    X: Any,
    y: ArrayLike,
    *,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Evaluation:
    """Measure a classifier on labelled crops.

    Parameters
    ----------
    classifier : fitted classifier
        With `predict_proba` and `classes_`.
    X : sequence of images
        One face an image.
    y : array-like of shape (n_images,)
        What they are. Case and punctuation do not matter: ``WithMask`` meets ``with_mask``.
    reporters : str, Reporter or several, default=()
        Names (``"console"``, ``"json:report.json"``, ...) or instances that get the evaluation.
    n_resamples : int, default=1000
        Bootstrap samples of the intervals of F1, means over classes and AUC; the intervals of shares
        are Wilson's.
    random_state : int, default=0
        Seeds the bootstrap.

    Returns
    -------
    evaluation : Evaluation

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ValueError
        If lengths disagree, X is empty, a label means none of the classifier's classes, or
        `predict_proba` gives another shape than a row an image and a column a class.

    Notes
    -----
    A bootstrapped figure of 0 or 1 that no sample changes has the interval of a share of as many faces.
    """
    check_resamples(n_resamples)
    takers = resolve_reporters(reporters)
    sources = check_images(X)
    classes = list_classes(classifier)
    truths = index_labels(y, classes)
    check_consistent_length(sources, truths)
    proba = check_proba(classifier.predict_proba(sources), len(sources), classes)
    said = proba.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (truths, said), 1)
    wrong = np.flatnonzero(said != truths)
    surest = wrong[np.argsort(-proba[wrong, said[wrong]], kind="stable")]
    evaluation = Evaluation(
        tuple(classes),
        len(sources),
        confusion,
        _estimate(confusion, truths, proba, classes, n_resamples, np.random.default_rng(random_state)),
        {
            label: roc_curve(truths == index, proba[:, index])[:2]
            for index, label in enumerate(classes)
            if 0 < (truths == index).sum() < len(truths)
        },
        tuple(
            Mistake(
                sources[index],
                name_source(sources[index], int(index)),
                classes[truths[index]],
                classes[said[index]],
                float(proba[index, said[index]]),
            )
            for index in surest
        ),
    )
    for reporter in takers:
        reporter.report(evaluation)
    return evaluation


def _estimate(
    confusion: NDArray[np.int64],
    truths: NDArray[np.int64],
    proba: NDArray[np.float64],
    classes: Sequence[Any],
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    n_faces = len(truths)
    # Figures that depend on the confusion matrix alone are resampled cell by cell, which is the same
    # as face by face.
    cells = rng.multinomial(n_faces, (confusion / n_faces).ravel(), size=n_resamples).reshape(-1, *confusion.shape)
    values = dict(zip(("precision", "recall", "f1"), class_scores(confusion), strict=True))
    samples = dict(zip(("precision", "recall", "f1"), class_scores(cells), strict=True))
    right, predicted, true = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    estimates = {"accuracy": wilson(right.sum(), n_faces)}
    for name, value in values.items():
        estimates[name] = bootstrapped(float(macro(value)), macro(samples[name]), n_faces)
    estimates["auc"] = _estimate_auc(truths, proba, n_resamples, rng)
    for index, label in enumerate(classes):
        estimates[f"precision/{label}"] = wilson(right[index], predicted[index])
        estimates[f"recall/{label}"] = wilson(right[index], true[index])
        estimates[f"f1/{label}"] = bootstrapped(float(values["f1"][index]), samples["f1"][:, index], int(true[index]))
    return estimates


def _estimate_auc(
    truths: NDArray[np.int64], proba: NDArray[np.float64], n_resamples: int, rng: np.random.Generator
) -> Estimate:
    # Of two classes, either one's curve encloses the same area.
    indices = range(1, 2) if proba.shape[1] == 2 else range(proba.shape[1])
    areas = [roc_auc(truths == index, proba[:, index]) for index in indices]
    value = float(macro(np.array([area(None) for area in areas])))
    samples = [[area(counts) for area in areas] for counts in resample(len(truths), n_resamples, rng)]
    return bootstrapped(value, macro(np.array(samples, dtype=np.float64).reshape(-1, len(areas))), len(truths))
