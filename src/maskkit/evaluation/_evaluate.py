"""Evaluation on labeled faces, of one data set or of several side by side."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import ArrayLike

from maskkit._display.tables import Estimate, Rows, Table, Tabulated, to_plain
from maskkit._text import MAX_LABEL_BYTES
from maskkit.evaluation._evaluation import MEANINGS, SCHEMA_VERSION, Evaluation, Measurement, Mistake
from maskkit.evaluation._inputs import FaceSet, check_proba, check_resampling, list_classes, read_face_set, select_known
from maskkit.evaluation._intervals import Resampling, difference
from maskkit.evaluation._slices import check_column, make_table, measure_columns
from maskkit.reporters._base import Reporter, report_to, resolve_reporters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


N_MISTAKES_EACH = 5


@dataclass(frozen=True, eq=False)
class Comparison(Tabulated):
    """Evaluation on several data sets, with the drops from the first to the others.

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        Evaluations by data set name. The others are compared with the first.
    """

    evaluations: Mapping[str, Evaluation]

    @property
    def reference(self) -> str:
        """The name of the first data set."""
        return next(iter(self.evaluations))

    def __getitem__(self, name: str) -> Evaluation:
        return self.evaluations[name]

    def drops(self) -> dict[str, dict[str, Estimate]]:
        """Return the drops from the first data set to each of the others, the largest first.

        Returns
        -------
        drops : dict
            Data set name -> ``accuracy`` and ``recall`` (mean over classes) of the first data set minus its own,
            sorted by recall, which does not depend on the proportions of the classes.
        """
        first = self.evaluations[self.reference].estimates
        drops = {
            name: {metric: difference(first[metric], evaluation.estimates[metric]) for metric in ("recall", "accuracy")}
            for name, evaluation in self.evaluations.items()
            if name != self.reference
        }
        return dict(sorted(drops.items(), key=lambda drop: -drop[1]["recall"].value))

    def metrics(self) -> dict[str, Estimate]:
        """Return the drops, the largest first, and every metric as ``DATA SET/METRIC``."""
        drops = self.drops()
        worst = next(iter(drops.values()), {})
        metrics = {f"{metric}_drop": estimate for metric, estimate in worst.items()}
        for name, of_set in drops.items():
            metrics |= {f"{metric}_drop/{name}": estimate for metric, estimate in of_set.items()}
        for name, evaluation in self.evaluations.items():
            metrics |= {f"{name}/{metric}": estimate for metric, estimate in evaluation.metrics().items()}
        return metrics

    def tables(self) -> tuple[Table, ...]:
        """Return tables of the drops, and of metrics, slices and mistakes of all data sets."""
        sets, evaluations = self.evaluations, tuple(self.evaluations.values())
        drops: Rows = tuple(
            (name, sets[name].n_faces, drop["recall"], drop["accuracy"]) for name, drop in self.drops().items()
        )
        shown = MEANINGS | {f"recall/{label}": f"recall of {label}" for label in evaluations[0].classes}
        n_faces: Rows = (("faces", *(evaluation.n_faces for evaluation in evaluations)),)
        metrics: Rows = tuple(
            (meaning, *(evaluation.estimates[metric] for evaluation in evaluations))
            for metric, meaning in shown.items()
        )
        remarks = [f"{name}: {remark}" for name, evaluation in sets.items() for remark in evaluation.remarks()]
        tables = [
            Table(
                f"Drops from {self.reference}, the largest first",
                ("data set", "faces", "recall drop", "accuracy drop"),
                drops,
                "Recall is the mean over classes, which does not depend on their proportions.",
            ),
            Table("Side by side", ("metric", *sets), n_faces + metrics, " ".join(remarks)),
            *(make_table(evaluation.groups, evaluation.worst_group, of=name) for name, evaluation in sets.items()),
        ]
        mistakes: Rows = tuple(
            (name, *mistake._cells())
            for name, evaluation in sets.items()
            for mistake in evaluation.mistakes[:N_MISTAKES_EACH]
        )
        if mistakes:
            columns = ("data set", "file", "true", "predicted", "confidence")
            tables.append(Table(f"Most confident mistakes, up to {N_MISTAKES_EACH} per data set", columns, mistakes))
        return tuple(tables if drops else tables[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        values = {"schema_version": SCHEMA_VERSION, "kind": "comparison", "reference": self.reference}
        values |= {"drops": self.drops(), "metrics": self.metrics(), "data_sets": self.evaluations}
        return to_plain(values)

    def figures(self, *, blur: bool = False) -> dict[str, "Figure"]:
        """Draw the data sets side by side, and the plots of each, as matplotlib figures by name.

        Parameters
        ----------
        blur : bool, default=False
            Whether to make the faces of the mistakes unrecognizable.
        """
        from maskkit.evaluation import _plots

        estimates = {name: evaluation.estimates for name, evaluation in self.evaluations.items()}
        drawn = {"comparison": _plots.draw_comparison(estimates)}
        for place, (name, evaluation) in enumerate(self.evaluations.items(), start=1):
            # Data set names may contain characters that file names may not.
            prefix = f"{place}_{re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')[:MAX_LABEL_BYTES]}"
            drawn |= {f"{prefix}_{plot}": figure for plot, figure in evaluation.figures(blur=blur).items()}
        return drawn


@overload
def evaluate(
    classifier: Any,
    X: Mapping[str, Any],
    y: None = None,
    *,
    slices: Mapping[str, Mapping[str, Any]] | None = None,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Comparison: ...
@overload
def evaluate(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    slices: Mapping[str, Any] | None = None,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Evaluation: ...
def evaluate(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    slices: Mapping[str, Any] | None = None,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Evaluation | Comparison:
    """Evaluate a classifier on labeled faces, of one data set or of several side by side.

    Parameters
    ----------
    classifier : fitted classifier
        Any classifier with `predict_proba` and `classes_`.
    X : sequence of images, Bunch, sequence of AnnotatedPhoto, or dict of data sets
        One face per image, with `y`. Without `y`: a tuple (X, y), a Bunch of paths and labels from `load_faces`, or
        photos from `load_photos`, which are cropped at their annotated boxes (no detector is used; see
        `evaluate_photos` for that). A dict that maps names to any of these compares them; the others are compared
        with the first.
    y : array-like of shape (n_images,), optional
        True labels. Case and punctuation do not matter: ``WithMask`` matches ``with_mask``. Incorrectly worn masks are
        left out and counted if the classifier has no such class.
    slices : dict, optional
        Columns to group faces by, in addition to size, brightness and sharpness: names mapped to one value per face,
        such as ``{"camera": ["phone", "door", ...]}``. For several data sets, data set names mapped to such dicts.
    reporters : str, Reporter or several, default=()
        Names (``"console"``, ``"json:report.json"``, ...) or instances that receive the evaluation.
    n_resamples : int, default=1000
        Number of bootstrap samples. Faces are drawn with replacement; photos are drawn with all their faces.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    evaluation : Evaluation or Comparison
        A `Comparison` if X is a dict.

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ImageError
        If an image cannot be read.
    TypeError, ValueError
        If X is not a data set, lengths differ, there is no face to evaluate, a label is not a class of the classifier,
        or `predict_proba` returns another shape than one row per image and one column per class.

    Notes
    -----
    Intervals of proportions are Wilson intervals, those of mean recall follow from the recalls of the classes, and the
    others are bootstrapped; on photos, proportions are bootstrapped, too. A bootstrapped metric of 0 or 1 that no
    sample changes has the Wilson interval of a proportion of the same number of faces.
    """
    n_resamples, random_state = check_resampling(n_resamples, random_state)
    resolved = resolve_reporters(reporters)
    options = {"n_resamples": n_resamples, "random_state": random_state}
    slices = slices or {}
    # A Bunch is a dict, too, but is a single data set.
    if not isinstance(X, Mapping) or "labels" in X or "splits" in X:
        evaluation = _evaluate_one(classifier, read_face_set(X, y), slices, **options)
        report_to(resolved, evaluation)
        return evaluation
    if y is not None or not X:
        wrong = "is a dict and y is given too" if X else "is an empty dict"
        raise ValueError(f"X {wrong}; want name -> (X, y), Bunch or photos, and no y.")
    if unknown := [name for name in slices if name not in X]:
        raise ValueError(f"slices for {unknown[0]!r}, which is not a data set; X has {', '.join(map(repr, X))}.")
    evaluations = {}
    for name, data in X.items():
        try:
            faces = read_face_set(data)
            evaluations[str(name)] = _evaluate_one(classifier, faces, slices.get(name, {}), **options)
        except (TypeError, ValueError) as exc:
            # Errors of other types, which are about files, name the file already.
            if type(exc) not in (TypeError, ValueError):
                raise
            raise type(exc)(f"data set {name!r}: {exc}") from exc
    comparison = Comparison(evaluations)
    report_to(resolved, comparison)
    return comparison


def _evaluate_one(
    classifier: Any, faces: FaceSet, slices: Mapping[str, Any], *, n_resamples: int, random_state: int
) -> Evaluation:
    classes = list_classes(classifier)
    columns = [check_column(name, values, len(faces)) for name, values in slices.items()]
    faces, true, rows, left_out = select_known(faces, classes)
    proba = check_proba(classifier.predict_proba(faces.sources), len(faces), classes)
    columns = [*measure_columns(faces), *(replace(column, index=column.index[rows]) for column in columns)]
    resampling = Resampling(len(faces), faces.photos, n_resamples, random_state)
    measured = Measurement(true, proba, classes, resampling)
    groups = measured.groups(columns)
    by_group = {
        f"{name}/{group.slice}/{group.name}": getattr(group, name)
        for group in groups
        for name in ("accuracy", "recall")
    }
    rows = measured.list_mistakes()
    wrong, labels = faces.select(rows), [classes[index] for index in measured.predicted[rows]]
    true_labels, confidence = [classes[index] for index in true[rows]], measured.confidence[rows].tolist()
    mistakes = map(Mistake, wrong.sources, wrong.names, true_labels, labels, confidence, wrong.faces)
    return Evaluation(
        tuple(classes),
        len(faces),
        left_out,
        resampling.n_photos,
        measured.confusion,
        measured.estimate() | by_group,
        groups,
        measured.roc(),
        measured.reliability(),
        measured.risk_coverage(),
        tuple(mistakes),
    )
