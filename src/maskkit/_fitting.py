"""How a MaskClassifier is trained: its head alone, or every layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from maskkit._augment import augment_face
from maskkit._finetune import fine_tune
from maskkit._head import TransferHead
from maskkit._images import ImageSource
from maskkit._synthetic import Painter
from maskkit._targets import merge_weights

# A new head may move faster than a pretrained backbone, not faster than one that is new as well.
HEAD_RATE_FACTOR = 10

# The origin's recipe: two rounds of 16 images.
FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-4, "early_stopping": False}
HEAD_PARAMETERS = ("epochs", "batch_size", "learning_rate", "class_weight", "early_stopping", "validation_fraction")


def make_head(classifier: Any, seed: int) -> Any:
    """Make the unfitted head that a MaskClassifier's parameters ask for.

    Raises
    ------
    ValueError
        If it gives no probabilities, or parameters are given that it does not take.
    """
    head = TransferHead() if classifier.head is None else clone(classifier.head)
    if not hasattr(head, "predict_proba"):
        raise ValueError(f"head {type(head).__name__} has no predict_proba; use a classifier that has one.")
    given = {name: getattr(classifier, name) for name in HEAD_PARAMETERS if getattr(classifier, name) is not None}
    if isinstance(head, TransferHead):
        head.set_params(device=classifier.device, verbose=classifier.verbose, **given)
    elif given:
        raise ValueError(f"{', '.join(given)} set a TransferHead; give {type(head).__name__} its own parameters.")
    if "random_state" in head.get_params() and head.get_params()["random_state"] is None:
        head.set_params(random_state=seed)
    return head


def fit_head(
    classifier: Any,
    head: Any,
    sources: Sequence[ImageSource],
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    seed: int,
) -> Any:
    """Train a head on the frozen backbone's features; gives it."""
    if callable(classifier.augment):
        raise ValueError("augment is for fine_tune=True; frozen features are computed once, of clean images.")
    features = classifier._features(sources)
    if sample_weight is None:
        return head.fit(features, y)
    if not has_fit_parameter(head, "sample_weight"):
        raise ValueError(f"{type(head).__name__} takes no sample_weight; choose another head or leave it out.")
    return head.fit(features, y, sample_weight=sample_weight)


def fit_every_layer(
    classifier: Any,
    head: TransferHead,
    sources: Sequence[ImageSource],
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    seed: int,
) -> TransferHead:
    """Train the backbone and its head together; gives the head."""
    if not isinstance(head, TransferHead):
        raise ValueError(f"fine_tune=True trains a TransferHead, not {type(head).__name__}; leave head=None.")
    augment = classifier.augment
    given = {name: getattr(classifier, name) for name in FINE_TUNE_DEFAULTS if getattr(classifier, name) is not None}
    fine_tune(
        classifier.embedder_,
        head,
        sources,
        y,
        merge_weights(classifier.class_weight, y, sample_weight),
        head_rate_factor=1 if classifier.weights is None else HEAD_RATE_FACTOR,
        augment=augment_face if augment == "auto" else augment,
        painter=Painter.of(np.unique(y).tolist()) if augment == "auto" else None,
        seed=seed,
        verbose=classifier.verbose,
        **FINE_TUNE_DEFAULTS | given,
    )
    return head
