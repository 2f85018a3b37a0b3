"""End-to-end training of a backbone and its head."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._devices import resolve_device, resolve_precision, seeded
from maskkit._images import ImageSource, RgbImage
from maskkit._locate import Box
from maskkit._parallel import in_batches, map_ahead
from maskkit._preprocess import Augment, Preprocess
from maskkit._synthetic import Painter
from maskkit._targets import split_rows
from maskkit._training import Batch, History, train
from maskkit._views import TrainingViews
from maskkit.backbones._base import Backbone
from maskkit.detectors._base import Detector

WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05


class Embedder(Protocol):
    """What fine-tuning needs of a fitted `FaceEmbedder`."""

    backbone_: Backbone
    network_: nn.Module
    preprocess_: Preprocess
    locator_: Detector
    device: str
    precision: str

    def small_face(self, image: RgbImage) -> Box | None:
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
    learning_rate: float,
    head_rate_factor: float,
    early_stopping: bool,
    augment: Augment | None,
    painter: Painter | None,
    seed: int,
    verbose: int,
) -> None:
    """Train every layer of a backbone and its head, in place; leaves `history_` in the head.

    AdamW with a one-cycle schedule and label smoothing.

    Parameters
    ----------
    embedder : Embedder
    head : Head
    sources : sequence of n_images images
    y : ndarray of shape (n_images,)
        Labels.
    weights : ndarray of shape (n_images,), float32
        How much each image counts.
    epochs, batch_size : int
    learning_rate : float
        The backbone's highest.
    head_rate_factor : float
        The head's rate as a multiple of the backbone's.
    early_stopping : bool
        Hold out a part, stop when its loss no longer falls, and go back to the best weights.
    augment : callable, optional
        Changes a training image.
    painter : Painter, optional
        Paints masks on bare faces first.
    seed : int
    verbose : int
    """
    device = resolve_device(embedder.device)
    precision = resolve_precision("auto" if embedder.precision == "int8" else embedder.precision, device)
    preprocess = embedder.preprocess_
    targets = head.initialise(embedder.backbone_.n_features, y)
    rows, held_out = np.arange(len(y)), np.array([], dtype=np.int64)
    if early_stopping:
        rows, held_out = split_rows(targets, head.validation_fraction, seed)
    network = nn.Sequential(embedder.network_, head.network_).to(device)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(embedder.network_.parameters()), "lr": learning_rate},
            {"params": list(head.network_.parameters()), "lr": learning_rate * head_rate_factor},
        ],
        weight_decay=WEIGHT_DECAY,
        fused=device.type != "mps",  # one pass over the weights; torch's floor has no such kernel for MPS
    )
    # A last batch of a few images would unsettle batch normalisation; the order changes every
    # epoch, so no image is left out for good.
    batch_size = min(batch_size, len(rows))
    n_items = len(rows) - len(rows) % batch_size

    views = TrainingViews(embedder, sources, targets, augment=augment, painter=painter, seed=seed)
    factors = views.balance(rows, weights)

    def batches_of(order: NDArray[np.int64], epoch: int | None) -> Iterator[Batch]:
        loaded = map_ahead(views.load, ((int(row), epoch) for row in order), n_ahead=4 * batch_size)
        for batch, chosen in zip(in_batches(loaded, batch_size), in_batches(order, batch_size), strict=True):
            pixels, shown = map(np.stack, zip(*batch, strict=True))
            counts = weights[chosen] if epoch is None else weights[chosen] * factors[shown]
            yield (
                preprocess.normalise(pixels, device),
                torch.from_numpy(shown).to(device),
                torch.from_numpy(counts).to(device),
            )

    def batches(epoch: int) -> Iterator[Batch]:
        return batches_of(np.random.default_rng((seed, epoch)).permutation(rows)[:n_items], epoch)

    with seeded(seed, device):
        head.history_ = train(
            network,
            optimizer,
            batches,
            n_epochs=epochs,
            n_items=n_items,
            n_batches=n_items // batch_size,
            validation=(lambda: batches_of(held_out, None)) if early_stopping else None,
            patience=head.patience if early_stopping else None,
            label_smoothing=LABEL_SMOOTHING,
            precision=precision,
            verbose=verbose,
        )
    network.cpu()
