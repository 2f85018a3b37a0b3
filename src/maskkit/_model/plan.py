"""Plan of a fit: what is trained and how, decided and checked before any image is read."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state

from maskkit._display.collage import choose_evenly
from maskkit._images.annotated import LabeledFaces, are_photos, read_labeled_faces
from maskkit._images.load import ImageSource, RgbImage
from maskkit._model.base_model import BaseModel, merge_classes, start_weights
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._training.checkpoint import find_seed
from maskkit._training.distributed import World, find_world
from maskkit._training.targets import Targets, split_rows
from maskkit.reporters._base import report_images_to, resolve_callbacks

# The settings of a fit of every layer that generalized best: docs/measurements.md.
FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 3e-4, "early_stopping": False}

# Smallest number of optimizer steps of a fit of every layer; few images are shown in more epochs. With 50 steps, models
# of 100 images were less accurate on other photos: docs/measurements.md.
MIN_STEPS = 150

# The same of a fit that goes on from a trained model, which needs less and must not forget. The shares of the classes
# among a few new faces are chance, so classes count the same: docs/measurements.md.
GOING_ON_RATE = 3e-5
MIN_GOING_ON_STEPS = 40
GOING_ON_CLASS_WEIGHT = "balanced"

# Where few images are shown in many epochs, the validation images, which may be many more, are measured ten times.
_N_VALIDATIONS = 10

# Images of training that callbacks are shown.
_N_SHOWN = 24

# Parameters of MaskClassifier that replace the head's own; None leaves these as they are.
_HEAD_PARAMETERS = ("epochs", "batch_size", "learning_rate", "class_weight", "early_stopping", "validation_fraction")


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Images on which the model is measured after each epoch, and their labels and weights."""

    sources: Sequence[ImageSource]
    targets: Targets


@dataclass(frozen=True, slots=True)
class FitPlan:
    """Decisions about a fit, made and checked before any image is read.

    In `params`, the training settings that the classifier leaves open are filled in. The head is unfitted, `world` are
    the processes that train together, and `start` the weights of the head of a fit that goes on from the model `base`.
    """

    params: dict[str, Any]
    every_layer: bool
    seed: int
    head: Any
    targets: Targets
    world: World
    validation: ValidationSet | None = None
    callbacks: Sequence[Any] = ()
    base: BaseModel | None = None
    start: Mapping[str, torch.Tensor] | None = None
    validate_every: int = 1


def plan_fit(params: Mapping[str, Any], faces: LabeledFaces, sample_weight: Any, base: BaseModel | None) -> FitPlan:
    """Decide what a fit does; raise ValueError if parameters exclude each other, or labels or weights are invalid."""
    given = dict(params)
    every_layer = _trains_every_layer(given)
    world = find_world() if every_layer else World()
    seed = world.broadcast(_choose_seed(given, every_layer=every_layer))
    head = _make_head(given, seed, base, every_layer=every_layer)
    classes, matches = (None, {}) if base is None else merge_classes(np.unique(faces.labels), base)
    class_weight = head.class_weight if isinstance(head, TransferHead) else None
    targets = Targets.encode(faces.labels, class_weight, faces.spread(sample_weight), classes, faces.photos)
    start = None if base is None else start_weights(base, targets.classes, matches)
    callbacks, validation = resolve_callbacks(given["callbacks"]), None
    if isinstance(head, TransferHead):
        settings = check_params(head)
        if given["validation_data"] is not None:
            validation = _read_validation(given["validation_data"], given["validation_fraction"], targets, head)
        if settings["early_stopping"] and validation is None:
            split_rows(targets, settings["validation_fraction"], seed)  # raises if there are too few images
    validate_every = 1
    if every_layer:
        is_thinned = given["epochs"] is None and not given["early_stopping"]
        given = _fill_in(given, len(faces.labels), goes_on=base is not None)
        validate_every = math.ceil(given["epochs"] / _N_VALIDATIONS) if is_thinned else 1
    return FitPlan(given, every_layer, seed, head, targets, world, validation, callbacks, base, start, validate_every)


def _read_validation(data: Any, fraction: float | None, targets: Targets, head: TransferHead) -> ValidationSet:
    """Check the parameter `validation_data` and encode its labels as those of training.

    `fraction` is the parameter `validation_fraction`, which excludes it. Raises TypeError, ValueError if that is given,
    or the data are neither a pair of images and labels nor annotated photos, or have a class that training has not.
    """
    if fraction is not None or head.validation_fraction != TransferHead().validation_fraction:
        raise ValueError(
            "validation_data and validation_fraction exclude each other: early stopping uses the images of the one, or "
            "holds out the other; leave one of them out."
        )
    if are_photos(data):
        data = (data, None)
    elif not isinstance(data, tuple) or len(data) != 2:
        shown = f"a tuple of {len(data)}" if isinstance(data, tuple) else f"of type {type(data).__name__}"
        raise TypeError(f"validation_data is {shown}; want a tuple of two, (images, labels), or annotated photos.")
    try:
        faces = read_labeled_faces(data[0], data[1], "validation_data")
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"validation_data: {exc}") from exc
    return ValidationSet(faces.sources, targets.encode_more(faces.labels, head.class_weight, "validation_data"))


def _fill_in(params: Mapping[str, Any], n_images: int, *, goes_on: bool) -> dict[str, Any]:
    """Return the parameters of a fit of every layer, with the training settings that they leave open."""
    settings = dict(FINE_TUNE_DEFAULTS)
    batch_size = min(params["batch_size"] or settings["batch_size"], n_images)
    n_steps = max(1, n_images // (batch_size * params["gradient_accumulation_steps"]))
    settings["epochs"] = max(settings["epochs"], math.ceil((MIN_GOING_ON_STEPS if goes_on else MIN_STEPS) / n_steps))
    if goes_on:
        settings["learning_rate"] = GOING_ON_RATE
    return {name: settings.get(name) if value is None else value for name, value in params.items()}


def _trains_every_layer(params: Mapping[str, Any]) -> bool:
    """Return whether every layer is trained. The number of images plays no role, so that folds are trained alike."""
    if params["fine_tune"] == "auto":
        return params["head"] is None or isinstance(params["head"], TransferHead)
    if not isinstance(params["fine_tune"], (bool, np.bool_)):
        raise ValueError(f"fine_tune={params['fine_tune']!r} is unknown; use True, False or 'auto'.")
    return bool(params["fine_tune"])


def report_images(plan: FitPlan, rows: Sequence[int], load: Callable[[int], tuple[RgbImage, int]]) -> None:
    """Show some of the images of training to the callbacks that want them, equally many of each class if possible.

    `load` returns the image of a row as the network gets it, and its class index.
    """
    wanting = [callback for callback in plan.callbacks if hasattr(callback, "report_images")]
    if not wanting or not plan.world.is_main:
        return
    classes = plan.targets.classes.tolist()
    places = [str(index) for index in plan.targets.indices[list(rows)]]
    chosen = choose_evenly(places, _N_SHOWN, np.random.RandomState(plan.seed))
    images, indices = zip(*(load(int(rows[place])) for place in chosen), strict=True)
    report_images_to(wanting, np.stack(images), [classes[index] for index in indices])


def announce(plan: FitPlan) -> None:
    """Print, if the fit is verbose, which layers are trained, how long, and what the other way would take."""
    if not plan.params["verbose"] or not plan.world.is_main:
        return
    n_images = len(plan.targets.labels)
    start = "" if plan.base is None else f"Going on from {plan.base.origin['name']}. "
    params = plan.params if plan.every_layer else _fill_in(plan.params, n_images, goes_on=plan.base is not None)
    batch_size = min(params["batch_size"], n_images)
    n_shown = params["epochs"] * (n_images // batch_size) * batch_size
    every_layer = f"{n_shown:,} images in {params['epochs']} epoch{'s' * (params['epochs'] != 1)}"
    if plan.every_layer:
        text = (
            f"Training every layer on {every_layer}. fine_tune=False (--frozen on the command line) trains only "
            f"the head, on the features of {n_images:,}: faster, and usually less accurate on other photos."
        )
    else:
        text = (
            f"Training only the head, on the features of {n_images:,} images. fine_tune=True (--fine-tune on the "
            f"command line) trains every layer, on {every_layer}: slower, and usually more accurate on other photos."
        )
    print(f"{start}{text}", file=sys.stderr)


def _choose_seed(params: Mapping[str, Any], *, every_layer: bool) -> int:
    """Return the seed of the fit: that of the checkpoint to resume if there is one and no `random_state`."""
    seed = int(check_random_state(params["random_state"]).randint(2**31 - 1))
    if every_layer and params["random_state"] is None and params["checkpoint"] is not None:
        kept = find_seed(params["checkpoint"])
        return seed if kept is None else kept
    return seed


def _make_head(params: Mapping[str, Any], seed: int, base: BaseModel | None, *, every_layer: bool) -> Any:
    """Build the unfitted head from the parameters of a MaskClassifier."""
    head = TransferHead() if params["head"] is None else clone(params["head"])
    if not hasattr(head, "predict_proba"):
        raise ValueError(f"head {type(head).__name__} has no predict_proba; use a classifier that has one.")
    given = {name: params[name] for name in _HEAD_PARAMETERS if params[name] is not None}
    is_transfer_head = isinstance(head, TransferHead)
    if base is not None and is_transfer_head:
        given["hidden_units"] = base.head.hidden_units
        if head.class_weight is None:
            given.setdefault("class_weight", GOING_ON_CLASS_WEIGHT)
        if not every_layer:
            given.setdefault("learning_rate", GOING_ON_RATE)
    _check_compatible(params, head, given, every_layer=every_layer)
    if is_transfer_head:
        # The head is a clone of ours, so its numbers may be replaced by Python's.
        head.set_params(**check_params(head))
        head.set_params(device=params["device"], verbose=params["verbose"], **given)
    if "random_state" in head.get_params() and head.get_params()["random_state"] is None:
        head.set_params(random_state=seed)
    return head


def _check_compatible(params: Mapping[str, Any], head: Any, given: Mapping[str, Any], *, every_layer: bool) -> None:
    is_transfer_head, name = isinstance(head, TransferHead), type(head).__name__
    if given and not is_transfer_head:
        raise ValueError(f"{', '.join(given)} set a TransferHead; give {name} its own parameters.")
    if every_layer and not is_transfer_head:
        raise ValueError(f"fine_tune=True trains a TransferHead, not {name}; leave head=None.")
    if params["augment"] not in ("auto", None) and not every_layer:
        given_augment = "a callable augment" if callable(params["augment"]) else f"augment={params['augment']!r}"
        raise ValueError(f"{given_augment} is for fine_tune=True; use 'auto' or None with a frozen backbone.")
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
