"""Fitting of a MaskClassifier: the head alone, or every layer."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter
from torch import nn

from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._model.embedder import FaceEmbedder, make_embedder
from maskkit._model.features import FeatureExtractor
from maskkit._model.fitted_backbone import FittedBackbone, check_network
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._training.allocator import keep_freed_memory
from maskkit._training.checkpoint import VERSIONS, Checkpoint, digest_images, find_seed
from maskkit._training.depthwise import FastDepthwise
from maskkit._training.distributed import World, find_world
from maskkit._training.targets import Targets, split_rows
from maskkit._training.trainer import Batch, Batches, Trainer, TrainerOptions, make_adamw
from maskkit._training.training_images import TrainingImages
from maskkit.augment._camera import augment_face
from maskkit.augment._random_painting import RandomPainting
from maskkit.engines._devices import resolve_device, resolve_precision, seeded
from maskkit.engines._fingerprint import fingerprint
from maskkit.exceptions import PluginError

# The settings of a fit of every layer that generalized best: docs/measurements.md.
FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 3e-4, "early_stopping": False}
FINE_TUNE_SIZE_PX = 160
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
# A new head may move faster than a pretrained backbone, but not faster than a backbone that is new as well.
HEAD_RATE_FACTOR = 10

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
    """

    params: dict[str, Any]
    every_layer: bool
    seed: int
    head: Any
    targets: Targets
    world: World


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
    if isinstance(head, TransferHead):
        settings = check_params(head)
        if settings["early_stopping"]:
            split_rows(targets, settings["validation_fraction"], seed)  # raises if there are too few images
    if every_layer:
        given |= {name: value for name, value in FINE_TUNE_DEFAULTS.items() if given[name] is None}
    return FitPlan(given, every_layer, seed, head, targets, world)


def fit_embedder(plan: FitPlan, sources: Sequence[ImageSource]) -> FaceEmbedder:
    """Build the embedder of a fit. For a fit of every layer, its input has the size that such fits use, if possible."""
    embedder = make_embedder(plan.params, plan.seed).fit(sources)
    if plan.every_layer and plan.params["image_size"] is None:
        embedder._set_image_size(_choose_image_size(embedder._fitted))
    return embedder


def _choose_image_size(fitted: FittedBackbone) -> int:
    """Return `FINE_TUNE_SIZE_PX` if the network takes it, else the backbone's own size."""
    try:
        check_network(fitted.network, fitted.backbone, FINE_TUNE_SIZE_PX)
    except PluginError:  # Most transformers take one size. If the network is at fault, the check at that size says so.
        return fitted.preprocess.image_size
    return FINE_TUNE_SIZE_PX


def fit_head(plan: FitPlan, extractor: FeatureExtractor, sources: Sequence[ImageSource]) -> Any:
    """Train the head on the features of a frozen backbone; return it."""
    if plan.params["precision"] == "int8":
        extractor.quantize(sources)
    # Early stopping may hold out an image and train on its copy; heads other than TransferHead may hold out rows, too.
    is_transfer_head = isinstance(plan.head, TransferHead)
    with_copies = plan.params["augment"] == "auto" and is_transfer_head and not plan.head.early_stopping
    features = np.concatenate([batch.features for batch in extractor.extract(sources, with_copies=with_copies)])
    targets = plan.targets.repeat(2) if with_copies else plan.targets
    if is_transfer_head:
        return plan.head._fit_targets(features, targets)
    return _fit_other_head(plan.head, features, targets)


def _fit_other_head(head: Any, features: NDArray[np.float32], targets: Targets) -> Any:
    """Train a head of scikit-learn's interface; return it.

    Raises ValueError if it takes no weights though some are given, or does not learn the classes.
    """
    name = type(head).__name__
    if targets.sample_weight is None:
        head = head.fit(features, targets.labels)
    elif has_fit_parameter(head, "sample_weight"):
        head = head.fit(features, targets.labels, sample_weight=targets.sample_weight)
    else:
        raise ValueError(f"{name} takes no sample_weight; use another head or leave it out.")
    classes = getattr(head, "classes_", None)
    if not np.array_equal(classes, targets.classes):  # type: ignore[arg-type]
        raise ValueError(
            f"head {name} has classes_ {classes!r} after fit; want the sorted labels, {targets.classes.tolist()}, as "
            f"classifiers of scikit-learn have."
        )
    return head


def fit_every_layer(plan: FitPlan, embedder: FaceEmbedder, sources: Sequence[ImageSource]) -> TransferHead:
    """Train the backbone of an embedder and its head together, in place; return the head.

    AdamW with a one-cycle schedule and label smoothing. The processes of ``accelerate launch`` share each batch.

    Raises ValueError if a batch has fewer images than there are processes, or these were given different data or
    parameters; ModelFileError if the checkpoint belongs to another fit, is damaged, or cannot be written.
    """
    training = _FineTuning(plan, embedder, sources)
    training.run()
    embedder._fitted.invalidate_engines()
    if plan.params["precision"] == "int8":
        embedder.quantize(sources)
    return training.head


class _FineTuning:
    """One fit of every layer."""

    def __init__(self, plan: FitPlan, embedder: FaceEmbedder, sources: Sequence[ImageSource]):
        params, self.world, self.plan, self.sources = plan.params, plan.world, plan, sources
        self.head: TransferHead = plan.head
        self.fitted = embedder._fitted
        self.is_pretrained = params["weights"] is not None
        is_assigned = self.world.device is not None and params["device"] == "auto"
        self.device = self.world.device if is_assigned and self.world.device else resolve_device(params["device"])
        precision = "auto" if params["precision"] == "int8" else params["precision"]
        self.precision = resolve_precision(precision, self.device)
        check_network(self.fitted.network, self.fitted.backbone, self.fitted.preprocess.image_size)
        self.head._build_network(self.fitted.backbone.n_features, plan.targets)
        self.rows, self.held_out = np.arange(len(sources)), np.array([], dtype=np.int64)
        if params["early_stopping"]:
            self.rows, self.held_out = split_rows(plan.targets, self.head.validation_fraction, plan.seed)
        # Incomplete batches are left out, because a last batch of a few images would count as much as a full one.
        # The order changes in every epoch, so no image is left out for good.
        self.batch_size = min(params["batch_size"], len(self.rows))
        self.n_accumulated = min(params["gradient_accumulation_steps"], len(self.rows) // self.batch_size)
        if self.batch_size < self.world.size:
            raise ValueError(
                f"batches of {self.batch_size} images cannot be shared by {self.world.size} processes; "
                f"raise batch_size or start fewer processes."
            )
        is_auto = params["augment"] == "auto"
        self.images = TrainingImages(
            sources,
            plan.targets.indices,
            self.fitted.preprocess,
            embedder._face_finder,
            find_face=params["find_face"],
            augment=augment_face if is_auto else params["augment"],
            painter=RandomPainting.for_classes(plan.targets.classes.tolist()) if is_auto else None,
            seed=plan.seed,
        )

    def run(self) -> None:
        params, backbone, head = self.plan.params, self.fitted.network, self.head.network_
        network = nn.Sequential(backbone, head).to(self.device)
        rate = params["learning_rate"]
        head_rate = rate * (HEAD_RATE_FACTOR if self.is_pretrained else 1)
        groups = [
            {"params": list(backbone.parameters()), "lr": rate},
            {"params": list(head.parameters()), "lr": head_rate},
        ]
        optimizer = make_adamw(groups, self.device, weight_decay=WEIGHT_DECAY)
        checkpoint = self._make_checkpoint(network)
        options = TrainerOptions(
            params["epochs"],
            patience=self.head.patience if params["early_stopping"] else None,
            label_smoothing=LABEL_SMOOTHING,
            gradient_accumulation_steps=self.n_accumulated,
            precision=self.precision,
            # The statistics of a few thousand images from one source fit other sources less well than those that
            # came with the weights: docs/measurements.md.
            keep_statistics=self.is_pretrained,
            verbose=params["verbose"],
        )
        is_slow = self.device.type == "cpu" and self.precision == torch.bfloat16
        layers = FastDepthwise if is_slow else nullcontext
        trainer = Trainer(network, optimizer, options, world=self.world, checkpoint=checkpoint, layers=layers)
        with seeded(self.plan.seed, self.device), keep_freed_memory():
            self.head.history_ = trainer.fit(self._make_batches())
        if checkpoint is not None:
            checkpoint.remove()
        network.cpu()

    def _make_batches(self) -> Batches:
        weights = self.plan.targets.weights
        factors = self.images.class_factors(self.rows, weights, self.world)
        n_steps = len(self.rows) // (self.batch_size * self.n_accumulated)
        n_items = n_steps * self.batch_size * self.n_accumulated
        # Positions in a batch of the images of this process.
        own = self.world.shard(np.arange(self.batch_size))

        def load_batches(order: NDArray[np.int64], epoch: int | None) -> Iterator[Batch]:
            loaded = prefetch_map(lambda row: self.images.load(int(row), epoch), order, n_ahead=4 * self.batch_size)
            for batch, rows in zip(in_batches(loaded, len(own)), in_batches(order, len(own)), strict=True):
                pixels, shown = map(np.stack, zip(*batch, strict=True))
                counted = weights[rows] if epoch is None else weights[rows] * factors[shown]
                yield (
                    self.fitted.preprocess.normalize(pixels, self.device),
                    torch.from_numpy(shown).to(self.device),
                    torch.from_numpy(counted).to(self.device),
                )

        def training(epoch: int) -> Iterator[Batch]:
            order = np.random.default_rng((self.plan.seed, epoch)).permutation(self.rows)[:n_items]
            return load_batches(order.reshape(-1, self.batch_size)[:, own].ravel(), epoch)

        def validation() -> Iterator[Batch]:
            return load_batches(self.world.shard(self.held_out), None)

        return Batches(training, n_items, n_steps, validation if self.plan.params["early_stopping"] else None)

    def _make_checkpoint(self, network: nn.Module) -> Checkpoint | None:
        """Return the checkpoint, if one is wanted, after a check that all processes were given the same."""
        params, painter = self.plan.params, self.images.painter
        purpose = {
            "seed": self.plan.seed,
            "labels": hash_content(self.plan.targets.indices),
            "weights of images": hash_content(self.plan.targets.weights),
            "initial network": fingerprint(network, self.fitted.preprocess),
            **{name: params[name] for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate")},
            "pretrained weights": self.is_pretrained,
            "early stopping": repr((self.head.validation_fraction, self.head.patience) if len(self.held_out) else None),
            "augment": getattr(self.images.augment, "__qualname__", type(self.images.augment).__qualname__),
            "painting": repr(painter and vars(painter)),
            "find_face": params["find_face"],
            "precision": str(self.precision),
            "device": self.device.type,
            **VERSIONS,
        }
        self.world.check_equal(purpose)
        if params["checkpoint"] is None:
            return None
        purpose["images"] = digest_images(self.sources)
        return Checkpoint(params["checkpoint"], purpose, is_writer=self.world.is_main)


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
    for parameter in ("checkpoint", "gradient_accumulation_steps"):
        if not every_layer and params[parameter] not in (None, 1):
            raise ValueError(f"{parameter} is for fine_tune=True; a head on a frozen backbone needs none.")
    if every_layer:
        # Settings of the head that a fit of every layer would ignore.
        usual, own = TransferHead().get_params(), head.get_params()
        ignored = [key for key in (*FINE_TUNE_DEFAULTS, "weight_decay") if own[key] != usual[key]]
        if ignored:
            raise ValueError(f"fine_tune=True ignores {', '.join(ignored)} of its head; set them on MaskClassifier.")
