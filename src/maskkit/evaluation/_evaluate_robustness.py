"""evaluate_robustness: the same faces, judged at every level of every condition."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from maskkit._display.tables import Estimate
from maskkit._images.load import load_image
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit.evaluation._checks import check_proba, check_resamples, list_classes
from maskkit.evaluation._data import FaceSet, keep_known, read_face_set
from maskkit.evaluation._metrics import class_scores, mean_share
from maskkit.evaluation._report import report_to, resolve_reporters
from maskkit.evaluation._resampling import Resampling, accuracy_of, count_cells
from maskkit.evaluation._robustness import Figures, Robustness
from maskkit.evaluation._worsen import CONDITIONS, Condition
from maskkit.reporters._base import Reporter

# Images held at once.
_BATCH = 256


def evaluate_robustness(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    max_faces: int | None = 1000,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Robustness:
    """Measure a classifier on the same faces made smaller, blurred, compressed and dark, by degrees.

    Parameters
    ----------
    classifier : fitted classifier
        With `predict_proba` and `classes_`.
    X, y : as in `evaluate`
        One data set.
    max_faces : int or None, default=1000
        Draw so many if there are more, since each is judged 30 times; None takes all.
    reporters : str, Reporter or several, default=()
        Names or instances that get the result.
    n_resamples : int, default=1000
        Bootstrap samples: faces are drawn, from photos whole photos.
    random_state : int, default=0
        Seeds the draws.

    Returns
    -------
    robustness : Robustness

    Raises
    ------
    NotFittedError, ImageError, TypeError, ValueError
        As `evaluate` does.

    Notes
    -----
    Size: the longer side is shrunk to 128 ... 8 px, with antialiasing; a face smaller than that stays
    as it is. Blur: Gaussian, its sigma in 128ths of the longer side. JPEG: Pillow's quality, at the
    face's own size. Darkness: the light is halved once, twice, ... six times, in linear sRGB, and
    stored in 8 bits again; no noise is added. After the corruptions of Hendrycks and Dietterich 2019,
    "Benchmarking neural network robustness to common corruptions and perturbations", ICLR; the levels
    are ours.
    """
    check_resamples(n_resamples)
    takers = resolve_reporters(reporters)
    if max_faces is not None:
        check_scalar(max_faces, "max_faces", Integral, min_val=1)
    classes = list_classes(classifier)
    faces, truths, _, left_out = keep_known(read_face_set(X, y), classes)
    if max_faces is not None and len(faces) > max_faces:
        drawn = np.sort(np.random.default_rng(random_state).choice(len(faces), max_faces, replace=False))
        faces, truths = faces.select(drawn), truths[drawn]
    resampling = Resampling.of(len(faces), faces.photos, n_resamples, random_state)

    def measure(condition: Condition | None = None, level: float = 0) -> Figures:
        said = _predict(classifier, faces, condition, level, classes)
        return _estimate(truths, said, classes, resampling)

    robustness = Robustness(
        tuple(classes),
        len(faces),
        None if faces.photos is None else len(np.unique(faces.photos)),
        left_out,
        measure(),
        {condition.name: {level: measure(condition, level) for level in condition.levels} for condition in CONDITIONS},
    )
    report_to(takers, robustness)
    return robustness


def _predict(
    classifier: Any, faces: FaceSet, condition: Condition | None, level: float, classes: list[Any]
) -> NDArray[np.int64]:
    """Give the class of each face, made worse."""

    def make(named: tuple[Any, str]) -> Any:
        image = load_image(named[0], name=named[1])
        return image if condition is None else condition.apply(image, level)

    said = []
    for batch in in_batches(zip(faces.sources, faces.names, strict=True), _BATCH):
        proba = classifier.predict_proba(list(prefetch_map(make, batch)))
        said.append(check_proba(proba, len(batch), classes).argmax(axis=1))
    return np.concatenate(said)


def _estimate(
    truths: NDArray[np.int64], said: NDArray[np.int64], classes: list[Any], resampling: Resampling
) -> dict[str, Estimate]:
    everyone = np.zeros_like(truths)
    shape = (1, len(classes))
    samples = np.array([count_cells(truths, said, everyone, shape, weights)[0] for weights in resampling.weights()])
    recalls = class_scores(samples)[1]
    right = said == truths
    by_class = {
        f"recall/{label}": resampling.share(right, truths == index, recalls[:, index])
        for index, label in enumerate(classes)
    }
    accuracy = resampling.share(right, everyone == 0, accuracy_of(samples))
    return {"accuracy": accuracy, "recall": mean_share(by_class.values())} | by_class
