"""Plan of a fit: what is trained and how, decided and checked before any image is read."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state

from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._model.validation import ValidationSet, read_validation
from maskkit._training.checkpoint import find_seed
from maskkit._training.distributed import World, find_world
from maskkit._training.targets import Targets, split_rows
from maskkit.reporters._base import resolve_callbacks

# The settings of a fit of every layer that generalized best: docs/measurements.md.
FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 3e-4, "early_stopping": False}

# Fewer images give too few optimizer steps to train a backbone.
MIN_FINE_TUNE_IMAGES = 1000

# With three folds or more, a fold of a cross-validation has two thirds of the images at least. Within these numbers of
# images, folds and the whole set may be on different sides of MIN_FINE_TUNE_IMAGES.
_NEAR_MIN_FINE_TUNE_IMAGES = (2 * MIN_FINE_TUNE_IMAGES // 3, 3 * MIN_FINE_TUNE_IMAGES // 2)

# Parameters of MaskClassifier that replace the head's own; None leaves these as they are.
_HEAD_PARAMETERS = ("epochs", "batch_size", "learning_rate", "class_weight", "early_stopping", "validation_fraction")


@dataclass(frozen=True, slots=True)
class FitPlan:
    """Decisions about a fit, made and checked before any image is read.

    In `params`, the training settings that the classifier leaves open are filled in. `seed` seeds
    everything that the fit draws. The head is unfitted, and `world` are the processes that train together.
    `callbacks` are reporters or functions that are called after each epoch.
    """

    params: dict[str, Any]
    every_layer: bool
    seed: int
    head: Any
    targets: Targets
    world: World
    validation: ValidationSet | None = None
    callbacks: Sequence[Any] = ()


def plan_fit(params: Mapping[str, Any], y: NDArray[Any], sample_weight: Any) -> FitPlan:
    """Decide what a fit does, and check that parameters and labels allow it.

    Raises ValueError if parameters exclude each other, or labels or weights are invalid.
    """
    given = dict(params)
    every_layer = _trains_every_layer(given, len(y))
    world = find_world() if every_layer else World()
    seed = world.broadcast(_choose_seed(given, every_layer=every_layer))
    head = _make_head(given, seed, every_layer=every_layer)
    targets = Targets.encode(y, head.class_weight if isinstance(head, TransferHead) else None, sample_weight)
    callbacks, validation = resolve_callbacks(given["callbacks"]), None
    if isinstance(head, TransferHead):
        settings = check_params(head)
        validation = read_validation(given["validation_data"], given["validation_fraction"], targets, head)
        if settings["early_stopping"] and validation is None:
            split_rows(targets, settings["validation_fraction"], seed)  # raises if there are too few images
    if every_layer:
        given |= {name: value for name, value in FINE_TUNE_DEFAULTS.items() if given[name] is None}
    return FitPlan(given, every_layer, seed, head, targets, world, validation, callbacks)


def _trains_every_layer(params: Mapping[str, Any], n_images: int) -> bool:
    if params["fine_tune"] == "auto":
        is_transfer_head = params["head"] is None or isinstance(params["head"], TransferHead)
        return is_transfer_head and (n_images >= MIN_FINE_TUNE_IMAGES or callable(params["augment"]))
    if not isinstance(params["fine_tune"], (bool, np.bool_)):
        raise ValueError(f"fine_tune={params['fine_tune']!r} is unknown; use True, False or 'auto'.")
    return bool(params["fine_tune"])


def announce(plan: FitPlan, fine_tune: Any, n_images: int) -> None:
    """Print which layers are trained, if the fit is verbose; warn if the folds of a search may differ in it."""
    warn_if_folds_may_differ(plan, fine_tune, n_images)
    if plan.params["verbose"] and plan.world.is_main:
        print(describe_plan(plan, fine_tune, n_images), file=sys.stderr)


def warn_if_folds_may_differ(plan: FitPlan, fine_tune: Any, n_images: int) -> None:
    """Warn if ``fine_tune="auto"`` may train the folds of a cross-validation in another way than the whole set."""
    low, high = _NEAR_MIN_FINE_TUNE_IMAGES
    if fine_tune == "auto" and isinstance(plan.head, TransferHead) and low <= n_images < high:
        if callable(plan.params["augment"]):
            return
        warnings.warn(
            f"fine_tune='auto' trains every layer from {MIN_FINE_TUNE_IMAGES:,} images on; this fit has {n_images:,}. "
            "In a cross-validation, folds have fewer images than the whole set and may be trained in the other way. "
            "Choose fine_tune=True or fine_tune=False, so that the scores are those of one procedure.",
            UserWarning,
            stacklevel=4,
        )


def describe_plan(plan: FitPlan, fine_tune: Any, n_images: int) -> str:
    """Return one line that says which layers are trained, why, and how to train the others."""
    why = ""
    if fine_tune == "auto":
        side = "are fewer than" if n_images < MIN_FINE_TUNE_IMAGES else "reach"
        why = f", because {n_images:,} images {side} {MIN_FINE_TUNE_IMAGES:,}"
    if plan.every_layer:
        return (
            f"Training every layer{why}. fine_tune=False (--frozen on the command line) trains only the head: faster, "
            "and usually less accurate on other photos."
        )
    return (
        f"Training only the head on a frozen backbone{why}. fine_tune=True (--fine-tune on the command line) trains "
        "every layer: slower, and usually more accurate on other photos."
    )


def _choose_seed(params: Mapping[str, Any], *, every_layer: bool) -> int:
    """Return the seed of the fit: that of the checkpoint to resume if there is one and no `random_state`."""
    seed = int(check_random_state(params["random_state"]).randint(2**31 - 1))
    if every_layer and params["random_state"] is None and params["checkpoint"] is not None:
        kept = find_seed(params["checkpoint"])
        return seed if kept is None else kept
    return seed


def _make_head(params: Mapping[str, Any], seed: int, *, every_layer: bool) -> Any:
    """Build the unfitted head from the parameters of a MaskClassifier."""
    head = TransferHead() if params["head"] is None else clone(params["head"])
    if not hasattr(head, "predict_proba"):
        raise ValueError(f"head {type(head).__name__} has no predict_proba; use a classifier that has one.")
    given = {name: params[name] for name in _HEAD_PARAMETERS if params[name] is not None}
    is_transfer_head = isinstance(head, TransferHead)
    _check_compatible(params, head, given, every_layer=every_layer)
    if is_transfer_head:
        # The head is a clone of ours, so its numbers may be replaced by Python's.
        head.set_params(**check_params(head))
        head.set_params(device=params["device"], verbose=params["verbose"], **given)
    if "random_state" in head.get_params() and head.get_params()["random_state"] is None:
        head.set_params(random_state=seed)
    return head


def _check_compatible(params: Mapping[str, Any], head: Any, given: Mapping[str, Any], *, every_layer: bool) -> None:
    """Check that head and parameters suit the kind of fit."""
    is_transfer_head, name = isinstance(head, TransferHead), type(head).__name__
    if given and not is_transfer_head:
        raise ValueError(f"{', '.join(given)} set a TransferHead; give {name} its own parameters.")
    if every_layer and not is_transfer_head:
        raise ValueError(f"fine_tune=True trains a TransferHead, not {name}; leave head=None.")
    if callable(params["augment"]) and not every_layer:
        raise ValueError("a callable augment is for fine_tune=True; use 'auto' or None with a frozen backbone.")
    for parameter in ("validation_data", "callbacks"):
        if params[parameter] is not None and not is_transfer_head:
            raise ValueError(f"{parameter} is for a TransferHead; {name} is not trained in epochs.")
    for parameter in ("checkpoint", "gradient_accumulation_steps"):
        if not every_layer and params[parameter] not in (None, 1):
            raise ValueError(f"{parameter} is for fine_tune=True; a head on a frozen backbone needs none.")
    if every_layer:
        # Settings of the head that a fit of every layer would ignore.
        usual, own = TransferHead().get_params(), head.get_params()
        ignored = [key for key in (*FINE_TUNE_DEFAULTS, "weight_decay") if own[key] != usual[key]]
        if ignored:
            raise ValueError(f"fine_tune=True ignores {', '.join(ignored)} of its head; set them on MaskClassifier.")
