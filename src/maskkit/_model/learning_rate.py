"""Search of a learning rate for a fit of every layer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskkit._images.annotated import read_labeled_faces
from maskkit._model.base_model import find_base
from maskkit._model.classifier import MaskClassifier
from maskkit._model.fine_tuning import sweep_every_layer
from maskkit._model.fit import fit_embedder
from maskkit._model.params import check_params
from maskkit._model.plan import plan_fit
from maskkit._training.rate_sweep import LearningRates


def find_learning_rate(
    classifier: MaskClassifier,
    X: Any,
    y: ArrayLike | None = None,
    *,
    min_rate: float = 1e-6,
    max_rate: float = 0.1,
    n_steps: int = 100,
) -> LearningRates:
    """Measure the loss at rising learning rates, to choose the one of a fit of every layer.

    The learning rate range test (Smith 2017, arXiv:1506.01186): a copy of the network is trained for one optimizer step
    at each rate, from images as `fit` would vary them, until the loss rises to four times its lowest. The classifier
    does not change. A rate is that of the backbone; a new head on a pretrained backbone learns ten times faster, as in
    `fit`.

    Parameters
    ----------
    classifier : MaskClassifier
        Classifier whose other parameters are set as for the fit. With ``warm_start=True``, it goes on from its model.
    X, y
        Images and labels, or annotated photos, as for `MaskClassifier.fit`.
    min_rate : float, default=1e-06
        The first learning rate, greater than 0.
    max_rate : float, default=0.1
        The last learning rate, greater than `min_rate`.
    n_steps : int, default=100
        Number of rates, at least 10. They read `batch_size` images each, again and again if there are too few.

    Returns
    -------
    rates : LearningRates
        The losses, the suggested rate as ``rates.suggested``, and a drawing as ``rates.figure()``.

    Raises
    ------
    ValueError
        If the classifier trains only its head, rates or steps are out of range, or as `MaskClassifier.fit` raises.
    ImageError
        If an image cannot be read.
    NotFiniteError
        If the loss is not finite at the lowest rates already.

    Examples
    --------
    >>> from maskkit import MaskClassifier, find_learning_rate
    >>> clf = MaskClassifier()
    >>> rates = find_learning_rate(clf, paths, labels)  # doctest: +SKIP
    >>> clf.set_params(learning_rate=rates.suggested).fit(paths, labels)  # doctest: +SKIP
    """
    if not 0 < min_rate < max_rate < np.inf:
        raise ValueError(f"min_rate={min_rate!r} and max_rate={max_rate!r}: want 0 < min_rate < max_rate.")
    if not n_steps >= 10:
        raise ValueError(f"n_steps={n_steps!r}: want 10 or more, because the losses are smoothed.")
    params = check_params(classifier)
    faces = read_labeled_faces(X, y, type(classifier).__name__)
    plan = plan_fit(params, faces, None, find_base(classifier, params))
    if not plan.every_layer:
        raise ValueError(
            "this classifier trains only its head, on a frozen backbone; set fine_tune=True. Such heads train in "
            "seconds: choose their learning_rate by cross_val_score or GridSearchCV."
        )
    rates = np.geomspace(min_rate, max_rate, int(n_steps))
    return sweep_every_layer(plan, fit_embedder(plan, faces.sources), faces.sources, rates)
