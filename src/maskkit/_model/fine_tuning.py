"""Training of every layer of a MaskClassifier."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._files.tensors import fingerprint
from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource, RgbImage
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._images.preprocess import to_device
from maskkit._model.embedder import FaceEmbedder
from maskkit._model.fitted_backbone import check_network
from maskkit._model.head import TransferHead
from maskkit._model.plan import FitPlan, report_images
from maskkit._training.allocator import keep_freed_memory
from maskkit._training.checkpoint import VERSIONS, Checkpoint, digest_images
from maskkit._training.depthwise import FastDepthwise
from maskkit._training.distributed import World
from maskkit._training.rate_sweep import LearningRates, sweep_rates
from maskkit._training.targets import split_rows
from maskkit._training.trainer import Batch, Batches, Trainer, TrainerOptions, make_adamw
from maskkit._training.training_images import TrainingImages
from maskkit.augment._camera import augment_face
from maskkit.augment._camera_batch import augment_faces
from maskkit.augment._random_painting import RandomPainting
from maskkit.engines._devices import describe_device, move, resolve_device, resolve_precision, seeded

WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
# A new head may move faster than a pretrained backbone, but not faster than a backbone that is new as well.
HEAD_RATE_FACTOR = 10


def fit_every_layer(plan: FitPlan, embedder: FaceEmbedder, sources: Sequence[ImageSource]) -> TransferHead:
    """Train the backbone of an embedder and its head together, in place; return the head.

    AdamW with a one-cycle schedule and label smoothing. The processes of ``accelerate launch`` share each batch. Raises
    ValueError if they cannot, or were given different data or parameters; ModelFileError, OutputError for a checkpoint
    that cannot be used.
    """
    training = _FineTuning(plan, embedder, sources)
    with training.on_device() as network:
        training.train(network)
    embedder._fitted.invalidate_engines()
    if plan.params["precision"] == "int8":
        embedder.quantize(sources)
    return training.head


def sweep_every_layer(
    plan: FitPlan, embedder: FaceEmbedder, sources: Sequence[ImageSource], rates: NDArray[np.float64]
) -> LearningRates:
    """Return the losses of the first steps of such a fit, each at another learning rate; changes the embedder."""
    training = _FineTuning(plan, embedder, sources)
    with training.on_device() as network, seeded(plan.seed, training.device), keep_freed_memory():
        return sweep_rates(training.make_trainer(network, rate=1.0), training.make_batches(), rates)


class _FineTuning:
    """One fit of every layer."""

    def __init__(self, plan: FitPlan, embedder: FaceEmbedder, sources: Sequence[ImageSource]):
        params, self.world, self.plan, self.sources = plan.params, plan.world, plan, sources
        self.head: TransferHead = plan.head
        self.fitted = embedder._fitted
        self.is_pretrained = params["weights"] is not None or plan.base is not None
        self.device = _choose_device(params["device"], self.world)
        precision = "auto" if params["precision"] == "int8" else params["precision"]
        self.precision = resolve_precision(precision, self.device)
        check_network(self.fitted.network, self.fitted.backbone, self.fitted.preprocess.image_size)
        self.head._build_network(self.fitted.backbone.n_features, plan.targets, plan.start)
        self.targets, self.rows, self.held_out = plan.targets, np.arange(len(sources)), np.array([], dtype=np.int64)
        if plan.validation is not None:
            self.sources = [*sources, *plan.validation.sources]
            self.targets = plan.targets.join(plan.validation.targets)
            self.held_out = np.arange(len(sources), len(self.sources))
        elif params["early_stopping"]:
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
        augment, is_ours = params["augment"], isinstance(params["augment"], str)
        for_device = is_ours and augment == "device"
        self.images = TrainingImages(
            self.sources,
            self.targets.indices,
            len(self.targets.classes),
            self.fitted.preprocess,
            embedder._face_finder,
            find_face=params["find_face"],
            augment=(None if for_device else augment_face) if is_ours else augment,
            painter=RandomPainting.for_classes(plan.targets.classes.tolist()) if is_ours else None,
            seed=plan.seed,
            for_device=for_device,
        )

    @contextmanager
    def on_device(self) -> Iterator[nn.Sequential]:
        """Return backbone and head as one network, which is on the device of training until the context ends."""
        network = nn.Sequential(self.fitted.network, self.head.network_)
        try:
            move(network, self.device)
            yield network
        finally:  # Engines, pickles and exports expect the networks on the CPU.
            move(network, torch.device("cpu"))

    def train(self, network: nn.Sequential) -> None:
        trainer = self.make_trainer(network, self.plan.params["learning_rate"])
        trainer.checkpoint = checkpoint = self._make_checkpoint(network)
        report_images(self.plan, self.rows.tolist(), self._load_shown)
        held = nullcontext() if checkpoint is None else checkpoint.hold()
        with held, seeded(self.plan.seed, self.device), keep_freed_memory():
            self.head.history_ = trainer.fit(self.make_batches())

    def make_trainer(self, network: nn.Sequential, rate: float) -> Trainer:
        params = self.plan.params
        is_new_head = self.is_pretrained and self.plan.base is None
        rates = (rate, rate * HEAD_RATE_FACTOR if is_new_head else rate)
        groups = [{"params": list(part.parameters()), "lr": r} for part, r in zip(network, rates, strict=True)]
        optimizer = make_adamw(groups, weight_decay=WEIGHT_DECAY)
        options = TrainerOptions(
            self.targets.classes.tolist(),
            params["epochs"],
            patience=self.head.patience if params["early_stopping"] else None,
            label_smoothing=LABEL_SMOOTHING,
            gradient_accumulation_steps=self.n_accumulated,
            precision=self.precision,
            # The statistics of a few thousand images from one source fit other sources less well than those that
            # came with the weights: docs/measurements.md.
            keep_statistics=self.is_pretrained,
            verbose=params["verbose"],
            callbacks=self.plan.callbacks,
            validate_every=self.plan.validate_every,
        )
        is_slow = self.device.type == "cpu" and self.precision == torch.bfloat16
        layers = FastDepthwise if is_slow else nullcontext
        return Trainer(network, optimizer, options, world=self.world, layers=layers)

    def make_batches(self) -> Batches:
        weights = self.targets.weights
        factors = self.images.class_factors(self.rows, weights, self.world)
        n_steps = len(self.rows) // (self.batch_size * self.n_accumulated)
        n_items = n_steps * self.batch_size * self.n_accumulated
        # Positions in a batch of the images of this process.
        own = self.world.shard(np.arange(self.batch_size))

        def load_batches(order: NDArray[np.int64], epoch: int | None) -> Iterator[Batch]:
            loaded = prefetch_map(lambda row: self.images.load(int(row), epoch), order, n_ahead=4 * self.batch_size)
            for batch, rows in zip(in_batches(loaded, len(own)), in_batches(order, len(own)), strict=True):
                images, targets = zip(*batch, strict=True)
                shown = np.array(targets)
                counted = weights[rows] if epoch is None else weights[rows] * factors[shown]
                yield (
                    self._make_input(images, rows, epoch),
                    to_device(shown, self.device),
                    to_device(counted, self.device),
                )

        def training(epoch: int) -> Iterator[Batch]:
            order = np.random.default_rng((self.plan.seed, epoch)).permutation(self.rows)[:n_items]
            return load_batches(order.reshape(-1, self.batch_size)[:, own].ravel(), epoch)

        def validation() -> Iterator[Batch]:
            return load_batches(self.world.shard(self.held_out), None)

        return Batches(training, n_items, n_steps, validation if len(self.held_out) else None)

    def _make_input(self, images: Sequence[RgbImage], rows: Sequence[int], epoch: int | None) -> torch.Tensor:
        preprocess = self.fitted.preprocess
        if epoch is None or not self.images.for_device:
            return preprocess.normalize(np.stack(images), self.device)
        return preprocess.normalize_(self.images.augment_on(self.device, images, rows, epoch))

    def _load_shown(self, row: int) -> tuple[RgbImage, int]:
        """Return the image of a row as the network gets it in the first epoch, and its class index."""
        image, target = self.images.load(row, epoch=0)
        if self.images.for_device:
            (pixels,) = self.images.augment_on(self.device, [image], [row], epoch=0)
            image = pixels.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return image, target

    def _make_checkpoint(self, network: nn.Module) -> Checkpoint | None:
        """Return the checkpoint, if one is wanted, after a check that all processes were given the same."""
        params, painter = self.plan.params, self.images.painter
        augment = augment_faces if self.images.for_device else self.images.augment
        purpose = {
            "seed": self.plan.seed,
            "labels": hash_content(self.targets.indices),
            "weights of images": hash_content(self.targets.weights),
            "initial network": fingerprint(network, self.fitted.preprocess),
            **{name: params[name] for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate")},
            "pretrained weights": self.is_pretrained,
            "base": self.plan.base and self.plan.base.origin["sha256"],
            "early stopping": repr(params["early_stopping"] and (self.head.validation_fraction, self.head.patience)),
            "validation data": 0 if self.plan.validation is None else len(self.held_out),
            "augment": getattr(augment, "__qualname__", type(augment).__qualname__),
            "painting": repr(painter and vars(painter)),
            "find_face": params["find_face"],
            "precision": str(self.precision),
            "device": self.device.type,
            **VERSIONS,
        }
        self.world.check_equal(purpose)
        if params["checkpoint"] is None:
            return None
        # Processes may have different cards, but each must resume on its own kind.
        purpose["device"] = describe_device(self.device)
        purpose["images"] = digest_images(self.sources)
        return Checkpoint(params["checkpoint"], purpose, is_writer=self.world.is_main)


def _choose_device(device: str, world: World) -> torch.device:
    """Return the device that the launcher assigned to this process, if any; raise ValueError for another parameter."""
    if world.device is None:
        return resolve_device(device)
    chosen = world.device if device == "auto" else resolve_device(device)
    if chosen.type != world.device.type or (chosen.type == "cuda" and chosen != world.device):
        raise ValueError(
            f"device={device!r} is not {str(world.device)!r}, which was assigned to process {world.rank} of "
            f"{world.size}; use device='auto', or launch the processes for that device."
        )
    return chosen
