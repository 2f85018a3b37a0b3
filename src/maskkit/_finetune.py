"""End-to-end training of a backbone and its head."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._devices import seeded
from maskkit._images import ImageSource, RgbImage, name_source
from maskkit._parallel import in_batches, map_ahead
from maskkit._preprocess import Augment, Preprocess
from maskkit._training import Batch, History, train

WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05


def fine_tune(
    backbone: nn.Module,
    head: nn.Module,
    preprocess: Preprocess,
    sources: Sequence[ImageSource],
    targets: NDArray[np.int64],
    weights: NDArray[np.float32],
    *,
    rows: NDArray[np.int64],
    held_out: NDArray[np.int64],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    head_rate_factor: float,
    patience: int | None,
    augment: Augment | None,
    device: torch.device,
    precision: torch.dtype,
    seed: int,
    verbose: int,
) -> History:
    """Train every layer of a backbone and its head, in place.

    AdamW with a one-cycle schedule and label smoothing. Each image of each epoch has random numbers
    of its own, so that the order in which threads finish changes nothing.

    Parameters
    ----------
    backbone : torch.nn.Module
        Float32 (n, 3, S, S) to (n, n_features).
    head : torch.nn.Module
        Float32 (n, n_features) to logits (n, n_classes).
    preprocess : Preprocess
    sources : sequence of n_images images
    targets : ndarray of shape (n_images,), int64
        Class indices.
    weights : ndarray of shape (n_images,), float32
        How much each image counts.
    rows, held_out : ndarray of int64
        Indices of images to train on and to validate on; `held_out` may be empty.
    epochs, batch_size : int
    learning_rate : float
        The backbone's highest.
    head_rate_factor : float
        The head's rate as a multiple of the backbone's.
    patience : int, optional
        Epochs without a lower validation loss before stopping; None never stops.
    augment : callable, optional
        Changes a training image.
    device : torch.device
    precision : torch.dtype
        Of matrix products.
    seed : int
    verbose : int

    Returns
    -------
    history : list of dict
        A record an epoch.
    """
    network = nn.Sequential(backbone, head).to(device)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(backbone.parameters()), "lr": learning_rate},
            {"params": list(head.parameters()), "lr": learning_rate * head_rate_factor},
        ],
        weight_decay=WEIGHT_DECAY,
        fused=device.type != "mps",  # one pass over the weights; torch's floor has no such kernel for MPS
    )
    # A last batch of a few images would unsettle batch normalisation; the order changes every
    # epoch, so no image is left out for good.
    batch_size = min(batch_size, len(rows))
    n_items = len(rows) - len(rows) % batch_size

    def load(item: tuple[int, int | None]) -> RgbImage:
        row, epoch = item
        source, name = sources[row], name_source(sources[row], row)
        if epoch is None:
            return preprocess.load(source, name=name)
        rng = np.random.default_rng((seed, epoch, row))
        return preprocess.load(source, name=name, augment=augment, rng=rng)

    def batches_of(order: NDArray[np.int64], epoch: int | None) -> Iterator[Batch]:
        pixels = map_ahead(load, ((int(row), epoch) for row in order), n_ahead=4 * batch_size)
        for batch, chosen in zip(in_batches(pixels, batch_size), in_batches(order, batch_size), strict=True):
            yield (
                preprocess.normalise(np.stack(batch), device),
                torch.from_numpy(targets[chosen]).to(device),
                torch.from_numpy(weights[chosen]).to(device),
            )

    def batches(epoch: int) -> Iterator[Batch]:
        return batches_of(np.random.default_rng((seed, epoch)).permutation(rows)[:n_items], epoch)

    with seeded(seed, device):
        history = train(
            network,
            optimizer,
            batches,
            n_epochs=epochs,
            n_items=n_items,
            n_batches=n_items // batch_size,
            validation=(lambda: batches_of(held_out, None)) if len(held_out) else None,
            patience=patience,
            label_smoothing=LABEL_SMOOTHING,
            precision=precision,
            verbose=verbose,
        )
    network.cpu()
    return history
