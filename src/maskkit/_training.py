"""The training loop that the head alone and the whole network share."""

import copy
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from maskkit._devices import autocast
from maskkit._progress import TrainingProgress

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Inputs (n, ...), class indices (n,) int64 and weights (n,) float32, on the network's device."""

History: TypeAlias = list[dict[str, float]]
"""A record an epoch: epoch, loss, accuracy, images_per_second, and validation_loss and
validation_accuracy where a part was held out."""


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterable[Batch]],
    *,
    n_epochs: int,
    n_items: int,
    n_batches: int,
    validation: Callable[[], Iterable[Batch]] | None = None,
    patience: int | None = None,
    label_smoothing: float = 0.0,
    precision: torch.dtype = torch.float32,
    verbose: int = 0,
) -> History:
    """Train a network in place.

    The learning rates given in `optimizer` are the highest of a one-cycle schedule (Smith and Topin
    2019, arXiv:1708.07120): up over the first 30 %, then down to nearly zero.

    Parameters
    ----------
    network : torch.nn.Module
        Gives logits (n, n_classes).
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    batches : callable
        Gives the training batches of an epoch, counted from 0.
    n_epochs, n_items, n_batches : int
        Epochs at most; items and batches an epoch.
    validation : callable, optional
        Gives the batches held out.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and go back to the best weights.
    label_smoothing : float, range 0 to 1
        Share of each target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    precision : torch.dtype
        Of matrix products; weights stay float32.
    verbose : int
        0 is silent.

    Returns
    -------
    history : list of dict
        A record an epoch.
    """
    device = next(network.parameters()).device
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=int(n_epochs * n_batches))
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    history: History = []
    best = _Best(patience)
    with TrainingProgress(n_epochs, n_items, verbose=verbose) as progress:
        for epoch in range(int(n_epochs)):
            start = time.perf_counter()
            network.train()
            tally = _Tally()
            for inputs, targets, weights in batches(epoch):
                with autocast(device, precision):
                    logits = network(inputs)
                losses = cross_entropy(logits.float(), targets, reduction="none", label_smoothing=label_smoothing)
                loss = (losses * weights).sum() / weights.sum().clamp_min(1e-12)
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                tally.add(losses.detach(), logits.detach(), targets, weights)
                progress.advance(epoch + 1, tally.n_items, *tally.means())
            record = {"epoch": float(epoch + 1), **tally.record()}
            record["images_per_second"] = tally.n_items / (time.perf_counter() - start)
            if validation is not None:
                held_out = _evaluate(network, validation(), device, precision)
                record |= {f"validation_{key}": value for key, value in held_out.items()}
            history.append(record)
            progress.finish_epoch(record)
            if patience is not None and best.is_over(record["validation_loss"], network):
                break
    best.restore(network)
    network.eval()
    return history


def _evaluate(
    network: nn.Module, batches: Iterable[Batch], device: torch.device, precision: torch.dtype
) -> dict[str, float]:
    network.eval()
    tally = _Tally()
    with torch.inference_mode(), autocast(device, precision):
        for inputs, targets, weights in batches:
            logits = network(inputs).float()
            tally.add(cross_entropy(logits, targets, reduction="none"), logits, targets, weights)
    return tally.record()


class _Tally:
    """Weighted loss and accuracy so far."""

    def __init__(self) -> None:
        self.n_items = 0
        self.loss = self.right = self.weight = 0.0

    def add(self, losses: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> None:
        right = (logits.argmax(1) == targets).float()
        sums = torch.stack([(losses * weights).sum(), (right * weights).sum(), weights.sum()]).tolist()
        self.loss += sums[0]
        self.right += sums[1]
        self.weight += sums[2]
        self.n_items += len(targets)

    def means(self) -> tuple[float, float]:
        weight = max(self.weight, 1e-12)
        return self.loss / weight, self.right / weight

    def record(self) -> dict[str, float]:
        return dict(zip(("loss", "accuracy"), self.means(), strict=True))


class _Best:
    """The best weights so far, where early stopping is asked for."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.loss = float("inf")
        self.n_epochs_since = 0
        self.state: dict[str, Any] | None = None

    def is_over(self, loss: float, network: nn.Module) -> bool:
        self.n_epochs_since += 1
        if loss < self.loss:
            self.loss, self.n_epochs_since = loss, 0
            self.state = copy.deepcopy(network.state_dict())
        return self.patience is not None and self.n_epochs_since >= self.patience

    def restore(self, network: nn.Module) -> None:
        if self.state is not None:
            network.load_state_dict(self.state)
