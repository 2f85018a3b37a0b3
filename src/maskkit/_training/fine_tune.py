"""End-to-end training of a backbone and its head."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource, RgbImage
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._images.preprocess import Augment, Preprocess
from maskkit._training.checkpoint import VERSIONS, Checkpoint, digest_images
from maskkit._training.depthwise import QuickDepthwise
from maskkit._training.history import History
from maskkit._training.loop import Batch, make_adamw, train
from maskkit._training.malloc import freed_memory_kept
from maskkit._training.processes import find_processes
from maskkit._training.sync_layers import GlobalBatch
from maskkit._training.targets import split_rows
from maskkit._training.training_images import TrainingViews
from maskkit.augment._painter import Painter
from maskkit.backbones._base import Backbone, check_network
from maskkit.detectors._base import Detector
from maskkit.engines._devices import resolve_device, resolve_precision, seeded
from maskkit.engines._fingerprint import fingerprint

WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05


class Embedder(Protocol):
    """What fine-tuning needs of a fitted `FaceEmbedder`."""

    backbone_: Backbone
    network_: nn.Module
    preprocess_: Preprocess
    detector_: Detector
    device: str
    precision: str
    find_face: bool

    def small_face(self, image: RgbImage) -> NDArray[np.float32] | None:
        """Find the face that is to be cut out of a picture; None if it is taken whole."""
        ...


class Head(Protocol):
    """What fine-tuning needs of an unfitted `TransferHead`."""

    network_: nn.Sequential
    history_: History
    validation_fraction: float
    patience: int

    def initialise(self, n_features: int, y: NDArray[Any]) -> NDArray[np.int64]:
        """Make the untrained layers and give class indices."""
        ...


def fine_tune(
    embedder: Embedder,
    head: Head,
    sources: Sequence[ImageSource],
    y: NDArray[Any],
    weights: NDArray[np.float32],
    *,
    epochs: int,
    batch_size: int,
    gradient_accumulation_steps: int,
    learning_rate: float,
    head_rate_factor: float,
    keep_statistics: bool,
    early_stopping: bool,
    augment: Augment | None,
    painter: Painter | None,
    checkpoint: str | os.PathLike[str] | None,
    seed: int,
    verbose: int,
) -> None:
    """Train every layer of a backbone and its head, in place; leaves `history_` in the head.

    AdamW with a one-cycle schedule and label smoothing. The processes of ``accelerate launch`` share
    each batch, and all end with the weights that one alone would reach.

    Parameters
    ----------
    embedder : Embedder
    head : Head
    sources : sequence of n_images images
    y : ndarray of shape (n_images,)
        Labels.
    weights : ndarray of shape (n_images,), float32
        How much each image counts.
    epochs, batch_size, gradient_accumulation_steps : int
        A step's images are those of so many batches, a batch's those of all processes.
    learning_rate : float
        The backbone's highest.
    head_rate_factor : float
        The head's rate as a multiple of the backbone's.
    keep_statistics : bool
        Let batch normalisation go on with the means and variances that the backbone came with. Those of a
        few thousand images of one source fit other sources less well: docs/measurements.md.
    early_stopping : bool
        Hold out a part, stop when its loss no longer falls, and go back to the best weights.
    augment : callable, optional
        Changes a training image.
    painter : Painter, optional
        Paints masks on bare faces first, and what is none on all.
    checkpoint : path, optional
        Folder of the state after each epoch, from which an interrupted training goes on.
    seed : int
    verbose : int

    Raises
    ------
    ValueError
        If there are fewer images in a batch than processes, or these were given different things.
    ModelFileError
        If the checkpoint is another training's or damaged, or cannot be written.
    """
    processes = find_processes()
    device = resolve_device(embedder.device)
    if processes.device is not None and embedder.device == "auto":
        device = processes.device
    precision = resolve_precision("auto" if embedder.precision == "int8" else embedder.precision, device)
    preprocess = embedder.preprocess_
    check_network(embedder.network_, embedder.backbone_, preprocess.image_size)
    targets = head.initialise(embedder.backbone_.n_features, y)
    rows, held_out = np.arange(len(y)), np.array([], dtype=np.int64)
    if early_stopping:
        rows, held_out = split_rows(targets, head.validation_fraction, seed)
    network = nn.Sequential(embedder.network_, head.network_).to(device)
    optimizer = make_adamw(
        [
            {"params": list(embedder.network_.parameters()), "lr": learning_rate},
            {"params": list(head.network_.parameters()), "lr": learning_rate * head_rate_factor},
        ],
        device,
        weight_decay=WEIGHT_DECAY,
    )
    # A last batch of a few images would count as much as a whole one; the order changes every
    # epoch, so no image is left out for good.
    batch_size = min(batch_size, len(rows))
    gradient_accumulation_steps = min(gradient_accumulation_steps, len(rows) // batch_size)
    n_steps = len(rows) // (batch_size * gradient_accumulation_steps)
    n_items = n_steps * batch_size * gradient_accumulation_steps
    if batch_size < processes.count:
        raise ValueError(
            f"batches of {batch_size} images cannot be shared by {processes.count} processes; "
            f"raise batch_size or start fewer."
        )
    purpose = {
        "seed": seed,
        "labels": _digest(targets),
        "weights of images": _digest(weights),
        "initial network": fingerprint(network, preprocess),
        "epochs": epochs,
        "batch_size": batch_size,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "learning_rate": learning_rate,
        "head_rate_factor": head_rate_factor,
        "keep_statistics": keep_statistics,
        "early stopping": repr((head.validation_fraction, head.patience) if early_stopping else None),
        "augment": getattr(augment, "__qualname__", type(augment).__qualname__),
        "painting": repr(painter and vars(painter)),
        "find_face": embedder.find_face,
        "precision": str(precision),
        "device": device.type,
        **VERSIONS,
    }
    processes.check_alike(purpose)
    kept = None
    if checkpoint is not None:
        purpose["images"] = digest_images(sources)
        kept = Checkpoint(checkpoint, purpose, is_writer=processes.is_main)

    views = TrainingViews(embedder, sources, targets, augment=augment, painter=painter, seed=seed)
    factors = views.balance(rows, weights, processes)
    # Where in a batch the images of this process stand.
    own = processes.share(np.arange(batch_size))

    def batches_of(order: NDArray[np.int64], epoch: int | None) -> Iterator[Batch]:
        loaded = prefetch_map(views.load, ((int(row), epoch) for row in order), n_ahead=4 * batch_size)
        for batch, chosen in zip(in_batches(loaded, len(own)), in_batches(order, len(own)), strict=True):
            pixels, shown = map(np.stack, zip(*batch, strict=True))
            counts = weights[chosen] if epoch is None else weights[chosen] * factors[shown]
            yield (
                preprocess.normalize(pixels, device),
                torch.from_numpy(shown).to(device),
                torch.from_numpy(counts).to(device),
            )

    def batches(epoch: int) -> Iterator[Batch]:
        order = np.random.default_rng((seed, epoch)).permutation(rows)[:n_items]
        return batches_of(order.reshape(-1, batch_size)[:, own].ravel(), epoch)

    @contextmanager
    def layers() -> Iterator[None]:
        is_slow = device.type == "cpu" and precision == torch.bfloat16
        with (
            QuickDepthwise() if is_slow else nullcontext(),
            GlobalBatch(processes, batch_size) if processes.count > 1 else nullcontext(),
        ):
            yield

    with seeded(seed, device), freed_memory_kept():
        head.history_ = train(
            network,
            optimizer,
            batches,
            n_epochs=epochs,
            n_items=n_items,
            n_steps=n_steps,
            validation=(lambda: batches_of(processes.share(held_out), None)) if early_stopping else None,
            patience=head.patience if early_stopping else None,
            label_smoothing=LABEL_SMOOTHING,
            gradient_accumulation_steps=gradient_accumulation_steps,
            precision=precision,
            layers=layers,
            start_training=_train_keeping_statistics if keep_statistics else nn.Module.train,
            processes=processes,
            checkpoint=kept,
            verbose=verbose,
        )
    if kept is not None:
        kept.remove()
    network.cpu()


def _train_keeping_statistics(network: nn.Module) -> None:
    network.train()
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _digest(values: NDArray[Any]) -> str:
    return hash_content(values)
