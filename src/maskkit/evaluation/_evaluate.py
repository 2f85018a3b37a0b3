"""evaluate: one data set, or several side by side."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from maskkit.evaluation._checks import check_proba, check_resamples, list_classes
from maskkit.evaluation._comparison import Comparison
from maskkit.evaluation._data import FaceSet, is_comparison, keep_known, read_face_set
from maskkit.evaluation._faces import Evaluation, Mistake
from maskkit.evaluation._measure import Measurement
from maskkit.evaluation._report import report_to, resolve_reporters
from maskkit.evaluation._resampling import Resampling
from maskkit.evaluation._slices import check_columns, measure_columns
from maskkit.reporters._base import Reporter


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
    """Measure a classifier on labelled faces, of one data set or of several side by side.

    Parameters
    ----------
    classifier : fitted classifier
        With `predict_proba` and `classes_`.
    X : sequence of images, Bunch, sequence of AnnotatedPhoto, or dict of data sets
        One face an image, with `y`. Without `y`: (X, y), a Bunch of paths and labels as `load_faces`
        gives, or photos as `load_photos` gives, whose annotated boxes are cut out (no detector is
        asked; for that see `evaluate_photos`). A dict, name -> any of these, compares them; the
        first one is what the others are compared with.
    y : array-like of shape (n_images,), optional
        What the images are. Case and punctuation do not matter: ``WithMask`` meets ``with_mask``.
        Incorrectly worn masks are left out and counted where the classifier has no such class.
    slices : dict, optional
        Name of a column -> a value a face, such as ``{"camera": ["phone", "door", ...]}``: what to
        group faces by, besides their size, brightness and sharpness. Of several data sets, name of
        the data set -> such a dict.
    reporters : str, Reporter or several, default=()
        Names (``"console"``, ``"json:report.json"``, ...) or instances that get the evaluation.
    n_resamples : int, default=1000
        Bootstrap samples: faces are drawn with replacement; from photos, whole photos.
    random_state : int, default=0
        Seeds the bootstrap.

    Returns
    -------
    evaluation : Evaluation or Comparison
        A `Comparison` of a dict.

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ImageError
        If an image cannot be read.
    TypeError, ValueError
        If X is no data set, lengths disagree, there is no face to judge, a label means none of the
        classifier's classes, or `predict_proba` gives another shape than a row an image and a column
        a class.

    Notes
    -----
    Intervals of shares are Wilson's, those of mean recall follow from the recalls of the classes, the
    rest are bootstrapped; of photos, shares are bootstrapped too. A bootstrapped figure of 0 or 1 that
    no sample changes has the interval of a share of as many faces.
    """
    check_resamples(n_resamples)
    takers = resolve_reporters(reporters)
    options = {"n_resamples": n_resamples, "random_state": random_state}
    slices = slices or {}
    if not is_comparison(X):
        evaluation = _evaluate_one(classifier, read_face_set(X, y), slices, **options)
        report_to(takers, evaluation)
        return evaluation
    if y is not None or not X:
        wrong = "is a dict and y is given too" if X else "is an empty dict"
        raise ValueError(f"X {wrong}; want name -> (X, y), Bunch or photos, and no y.")
    if unknown := [name for name in slices if name not in X]:
        raise ValueError(f"slices of {unknown[0]!r}, which is no data set; X has {', '.join(map(repr, X))}.")
    evaluations = {}
    for name, data in X.items():
        with _naming(name):
            faces = read_face_set(data)
            evaluations[str(name)] = _evaluate_one(classifier, faces, slices.get(name, {}), **options)
    comparison = Comparison(evaluations)
    report_to(takers, comparison)
    return comparison


@contextmanager
def _naming(name: Any) -> Iterator[None]:
    """Say of which data set an error speaks; errors about files name these already."""
    try:
        yield
    except (TypeError, ValueError) as exc:
        if type(exc) not in (TypeError, ValueError):
            raise
        raise type(exc)(f"data set {name!r}: {exc}") from exc


def _evaluate_one(
    classifier: Any, faces: FaceSet, slices: Mapping[str, Any], *, n_resamples: int, random_state: int
) -> Evaluation:
    classes = list_classes(classifier)
    columns = check_columns(slices, len(faces))
    faces, truths, rows, left_out = keep_known(faces, classes)
    proba = check_proba(classifier.predict_proba(faces.sources), len(faces), classes)
    columns = [*measure_columns(faces), *(column.select(rows) for column in columns)]
    resampling = Resampling.of(len(faces), faces.photos, n_resamples, random_state)
    measured = Measurement(truths, proba, classes, columns, resampling)
    groups = measured.groups()
    by_group = {
        f"{name}/{group.slice}/{group.name}": getattr(group, name)
        for group in groups
        for name in ("accuracy", "recall")
    }
    said, surest_first = measured.said, measured.list_mistakes()
    return Evaluation(
        tuple(classes),
        len(faces),
        left_out,
        None if faces.photos is None else len(np.unique(faces.photos)),
        measured.confusion,
        measured.estimate() | by_group,
        groups,
        measured.roc(),
        measured.reliability(),
        measured.risk_coverage(),
        tuple(
            Mistake(
                faces.sources[index],
                faces.names[index],
                classes[truths[index]],
                classes[said[index]],
                float(proba[index, said[index]]),
                faces.faces[index],
            )
            for index in surest_first
        ),
    )
