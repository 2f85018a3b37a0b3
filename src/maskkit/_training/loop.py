"""The training loop that the head alone and the whole network share."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from maskkit._images.prefetch import in_batches, use_one_thread_after_fork
from maskkit._training.checkpoint import Checkpoint, Stateful
from maskkit._training.history import History
from maskkit._training.processes import Processes
from maskkit._training.progress import TrainingProgress
from maskkit.engines._devices import autocast

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Inputs (n, ...), class indices (n,) int64 and weights (n,) float32, on the network's device."""


def make_adamw(parameters: Any, device: torch.device, **settings: Any) -> torch.optim.AdamW:
    """Make AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) that goes over the weights once a step."""
    # The oldest torch that maskkit takes has no such kernel for MPS.
    return torch.optim.AdamW(parameters, fused=device.type != "mps", **settings)


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterable[Batch]],
    *,
    n_epochs: int,
    n_items: int,
    n_steps: int,
    validation: Callable[[], Iterable[Batch]] | None = None,
    patience: int | None = None,
    label_smoothing: float = 0.0,
    gradient_accumulation_steps: int = 1,
    precision: torch.dtype = torch.float32,
    layers: Callable[[], AbstractContextManager[Any]] = nullcontext,
    start_training: Callable[[nn.Module], Any] = nn.Module.train,
    processes: Processes | None = None,
    checkpoint: Checkpoint | None = None,
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
        With several processes, of each batch the part that is this one's.
    n_epochs, n_items, n_steps : int
        Epochs at most; items and steps of the optimiser an epoch.
    validation : callable, optional
        Gives the batches held out.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and go back to the best weights.
    label_smoothing : float, range 0 to 1
        Share of each target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    gradient_accumulation_steps : int
        Batches whose gradients make one step, as if they were one batch; but for layers that look at
        the batch as a whole.
    precision : torch.dtype
        Of matrix products; weights stay float32.
    layers : callable
        Gives the context in which layers compute while they are trained.
    start_training : callable
        Switches the network to training, before each epoch.
    processes : Processes, optional
        Those that train together; each starts with the same weights and keeps the same.
    checkpoint : Checkpoint, optional
        Where training goes on if it was interrupted, and is saved after each epoch.
    verbose : int
        0 is silent.

    Returns
    -------
    history : list of dict
        A record an epoch.
    """
    use_one_thread_after_fork()
    processes = processes or Processes()
    device = next(network.parameters()).device
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=int(n_epochs * n_steps))
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    history = History()
    best = _Best(patience)
    parts: dict[str, Stateful] = {
        "network": network,
        "optimizer": optimizer,
        "schedule": schedule,
        "scaler": scaler,
        "best": best,
    }
    if checkpoint is not None and (saved := checkpoint.load(parts, device)):
        history = History(saved["history"])
    n_done = len(history)
    processes.check_alike({"checkpoint": n_done})
    with (
        _telling_what_is_kept(checkpoint, history, int(n_epochs)),
        TrainingProgress(
            n_epochs, n_items, n_epochs_done=n_done, verbose=verbose if processes.is_main else 0
        ) as progress,
    ):
        for epoch in range(n_done, int(n_epochs)):
            if best.is_over():
                break
            start = time.perf_counter()
            start_training(network)
            tally = _Tally()
            for index, step in enumerate(in_batches(batches(epoch), gradient_accumulation_steps)):
                weight = processes.sum(torch.stack([weights.sum() for _, _, weights in step]).sum())
                optimizer.zero_grad(set_to_none=True)
                for inputs, targets, weights in step:
                    with autocast(device, precision), layers():
                        logits = network(inputs)
                    losses = cross_entropy(logits.float(), targets, reduction="none", label_smoothing=label_smoothing)
                    loss = (losses * weights).sum() / weight.clamp_min(1e-12)
                    scaler.scale(loss).backward()
                    tally.add(losses.detach(), logits.detach(), targets, weights)
                processes.sum_gradients(network.parameters())
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                progress.advance(epoch + 1, n_items * (index + 1) // n_steps, *tally.means())
            record = {"epoch": float(epoch + 1), **tally.record(processes)}
            record["images_per_second"] = n_items / (time.perf_counter() - start)
            if validation is not None:
                held_out = _evaluate(network, validation(), device, precision, processes)
                record |= {f"validation_{key}": value for key, value in held_out.items()}
            if patience is not None:
                best.look(record["validation_loss"], network)
            history.append(record)
            progress.finish_epoch(record)
            if checkpoint is not None:
                checkpoint.save(parts, device, history=list(history))
    best.restore(network)
    network.eval()
    return history


@contextmanager
def _telling_what_is_kept(checkpoint: Checkpoint | None, history: History, n_epochs: int) -> Iterator[None]:
    """Add to a Ctrl-C where training can go on."""
    try:
        yield
    except KeyboardInterrupt as exc:
        done = f"interrupted after {len(history)} of {n_epochs} epochs"
        if checkpoint is None:
            exc.add_note(f"{done}; nothing is kept. With checkpoint=DIR, every epoch would be.")
        elif history:
            exc.add_note(f"{done}, which are kept in {checkpoint.file}; the same fit goes on from there.")
        else:
            exc.add_note(f"{done}; nothing to keep yet.")
        raise


def _evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    device: torch.device,
    precision: torch.dtype,
    processes: Processes,
) -> dict[str, float]:
    network.eval()
    tally = _Tally()
    with torch.inference_mode(), autocast(device, precision):
        for inputs, targets, weights in batches:
            logits = network(inputs).float()
            tally.add(cross_entropy(logits, targets, reduction="none"), logits, targets, weights)
    return tally.record(processes)


class _Tally:
    """Weighted loss and accuracy so far, of this process's items."""

    def __init__(self) -> None:
        self.loss = self.right = self.weight = 0.0

    def add(self, losses: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> None:
        right = (logits.argmax(1) == targets).float()
        sums = torch.stack([(losses * weights).sum(), (right * weights).sum(), weights.sum()]).tolist()
        self.loss += sums[0]
        self.right += sums[1]
        self.weight += sums[2]

    def means(self) -> tuple[float, float]:
        weight = max(self.weight, 1e-12)
        return self.loss / weight, self.right / weight

    def record(self, processes: Processes) -> dict[str, float]:
        self.loss, self.right, self.weight = processes.sum_floats([self.loss, self.right, self.weight])
        return dict(zip(("loss", "accuracy"), self.means(), strict=True))


class _Best:
    """The best weights so far, where early stopping is asked for."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.loss = float("inf")
        self.n_epochs_since = 0
        self.weights: dict[str, Any] | None = None

    def look(self, loss: float, network: nn.Module) -> None:
        self.n_epochs_since += 1
        if loss < self.loss:
            self.loss, self.n_epochs_since = loss, 0
            self.weights = copy.deepcopy(network.state_dict())

    def is_over(self) -> bool:
        return self.patience is not None and self.n_epochs_since >= self.patience

    def restore(self, network: nn.Module) -> None:
        if self.weights is not None:
            network.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "n_epochs_since": self.n_epochs_since, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss, self.n_epochs_since, self.weights = state["loss"], state["n_epochs_since"], state["weights"]
