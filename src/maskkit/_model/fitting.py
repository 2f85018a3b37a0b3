"""How a MaskClassifier is trained: its head alone, or every layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter

from maskkit._images.load import ImageSource
from maskkit._model.head import TransferHead
from maskkit._training.checkpoint import find_seed
from maskkit._training.fine_tune import fine_tune
from maskkit._training.processes import find_processes
from maskkit._training.targets import merge_weights
from maskkit.augment._camera import augment_face
from maskkit.augment._painter import Painter

# A new head may move faster than a pretrained backbone, not faster than one that is new as well.
HEAD_RATE_FACTOR = 10

# What generalised best of what was tried: docs/measurements.md.
FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 3e-4, "early_stopping": False}
FINE_TUNE_SIZE_PX = 160

# Fewer images make too few steps to move a backbone anywhere.
FINE_TUNE_IMAGES = 1000
HEAD_PARAMETERS = ("epochs", "batch_size", "learning_rate", "class_weight", "early_stopping", "validation_fraction")


def trains_every_layer(classifier: Any, n_images: int) -> bool:
    """Tell whether a MaskClassifier trains its backbone too on so many images.

    Raises
    ------
    ValueError
        If `fine_tune` is another word.
    """
    if classifier.fine_tune == "auto":
        is_ours = classifier.head is None or isinstance(classifier.head, TransferHead)
        return is_ours and (n_images >= FINE_TUNE_IMAGES or callable(classifier.augment))
    if not isinstance(classifier.fine_tune, (bool, np.bool_)):
        raise ValueError(f"fine_tune={classifier.fine_tune!r} is unknown; use True, False or 'auto'.")
    return bool(classifier.fine_tune)


def choose_seed(classifier: Any, *, every_layer: bool) -> int:
    """Give the seed of everything that a fit draws: of all its processes, and of what it goes on with."""
    seed = int(check_random_state(classifier.random_state).randint(2**31 - 1))
    if not every_layer:
        return seed
    if classifier.random_state is None and classifier.checkpoint is not None:
        kept = find_seed(classifier.checkpoint)
        seed = seed if kept is None else kept
    return find_processes().follow_main(seed)


def choose_size(classifier: Any, *, every_layer: bool) -> dict[str, Any]:
    """Give a MaskClassifier's parameters, with the size of its input filled in where the recipe says one."""
    params: dict[str, Any] = classifier.get_params(deep=False)
    if every_layer and params["image_size"] is None:
        params["image_size"] = FINE_TUNE_SIZE_PX
    return params


def make_head(classifier: Any, seed: int, *, every_layer: bool) -> Any:
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
    if every_layer and not isinstance(head, TransferHead):
        raise ValueError(f"fine_tune=True trains a TransferHead, not {type(head).__name__}; leave head=None.")
    if callable(classifier.augment) and not every_layer:
        raise ValueError("a callable augment is for fine_tune=True; use 'auto' or None with a frozen backbone.")
    if not every_layer:
        for name in ("checkpoint", "gradient_accumulation_steps"):
            if getattr(classifier, name) not in (None, 1):
                raise ValueError(f"{name} is for fine_tune=True; a head on a frozen backbone needs none.")
    if every_layer:
        _refuse_lost_settings(classifier, head)
    if "random_state" in head.get_params() and head.get_params()["random_state"] is None:
        head.set_params(random_state=seed)
    return head


def _refuse_lost_settings(classifier: Any, head: TransferHead) -> None:
    """Raise ValueError for settings of the head that training every layer would not heed."""
    usual, given = TransferHead().get_params(), head.get_params()
    lost = [
        name
        for name in (*FINE_TUNE_DEFAULTS, "weight_decay")
        if given[name] != usual[name] and getattr(classifier, name, usual[name]) != given[name]
    ]
    if lost:
        raise ValueError(f"fine_tune=True heeds no {', '.join(lost)} of its head; set them on MaskClassifier.")


def fit_head(
    classifier: Any,
    head: Any,
    sources: Sequence[ImageSource],
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    seed: int,
) -> Any:
    """Train a head on the frozen backbone's features; gives it."""
    if classifier.precision == "int8":
        classifier.embedder_.quantize(sources)
    with_copies = _takes_copies(classifier, head)
    features = np.concatenate([batch.features for batch in classifier._embed(sources, with_copies=with_copies)])
    if with_copies:
        y = np.repeat(y, 2)
        sample_weight = None if sample_weight is None else np.repeat(np.asarray(sample_weight), 2)
    if sample_weight is None:
        return head.fit(features, y)
    if not has_fit_parameter(head, "sample_weight"):
        raise ValueError(f"{type(head).__name__} takes no sample_weight; choose another head or leave it out.")
    return head.fit(features, y, sample_weight=sample_weight)


def _takes_copies(classifier: Any, head: Any) -> bool:
    """Tell whether a head is trained on a changed copy of each image too.

    Not where a part is held out by rows, as other heads may do as well: copies would be on both sides.
    """
    return classifier.augment == "auto" and isinstance(head, TransferHead) and not head.early_stopping


def fit_every_layer(
    classifier: Any,
    head: TransferHead,
    sources: Sequence[ImageSource],
    y: NDArray[Any],
    sample_weight: ArrayLike | None,
    seed: int,
) -> TransferHead:
    """Train the backbone and its head together; gives the head."""
    augment = classifier.augment
    given = {name: getattr(classifier, name) for name in FINE_TUNE_DEFAULTS if getattr(classifier, name) is not None}
    fine_tune(
        classifier.embedder_,
        head,
        sources,
        y,
        merge_weights(head.class_weight, y, sample_weight),
        head_rate_factor=1 if classifier.weights is None else HEAD_RATE_FACTOR,
        keep_statistics=classifier.weights is not None,
        gradient_accumulation_steps=classifier.gradient_accumulation_steps,
        augment=augment_face if augment == "auto" else augment,
        painter=Painter.of(np.unique(y).tolist()) if augment == "auto" else None,
        checkpoint=classifier.checkpoint,
        seed=seed,
        verbose=classifier.verbose,
        **FINE_TUNE_DEFAULTS | given,
    )
    classifier.embedder_.renew()
    if classifier.precision == "int8":
        classifier.embedder_.quantize(sources)
    return head
