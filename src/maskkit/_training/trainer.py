"""Trainer: the training loop for the head alone and for every layer."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from maskkit._images.prefetch import in_batches, use_one_thread_after_fork
from maskkit._training.checkpoint import Checkpoint
from maskkit._training.distributed import World
from maskkit._training.history import History, describe_confusion
from maskkit._training.progress import TrainingProgress
from maskkit.engines._devices import autocast, describe_out_of_memory, exact
from maskkit.exceptions import EngineError, NotFiniteError, PluginError
from maskkit.reporters._base import report_epoch_to

_log = logging.getLogger("maskkit.training")

# Loss and accuracy are read, checked and shown no more often, because a GPU that is waited for at each step idles.
_READ_INTERVAL_S = 0.25

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Inputs (n, ...), class indices (n,) int64 and weights (n,) float32, on the network's device."""


@dataclass(frozen=True, slots=True)
class Batches:
    """The data of a training run.

    `training` returns the batches of an epoch, counted from 0, and `validation` those of validation. With several
    processes, both return only this process's part. `n_items` and `n_steps` count items and optimizer steps per epoch.
    """

    training: Callable[[int], Iterable[Batch]]
    n_items: int
    n_steps: int
    validation: Callable[[], Iterable[Batch]] | None = None


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Options of a training run of `classes`, the labels in the order of the logits.

    Training stops after `patience` epochs without a lower validation loss and restores the best weights; None trains
    for all epochs. `label_smoothing` is the share of each target that is spread over all classes (Szegedy et al. 2016,
    arXiv:1512.00567). `precision` is that of matrix products; weights stay float32. With `keep_statistics`, batch
    normalization uses, and does not update, its running means and variances. Progress counts items of `unit`. The main
    process calls `callbacks` after each epoch: reporters or functions of the record. The validation images are measured
    after every `validate_every` epochs and the last.
    """

    classes: list[Any]
    epochs: int
    patience: int | None = None
    label_smoothing: float = 0.0
    gradient_accumulation_steps: int = 1
    precision: torch.dtype = torch.float32
    keep_statistics: bool = False
    verbose: int = 0
    unit: str = "images"
    callbacks: Sequence[Any] = ()
    validate_every: int = 1


@dataclass(eq=False)
class Trainer:
    """Trains a network in place, with weighted cross-entropy and a one-cycle learning rate schedule.

    The network returns logits (n, n_classes). The learning rates of the optimizer are the maxima of the schedule
    (Smith and Topin 2019, arXiv:1708.07120): they rise during the first 30 % of the steps, then fall to nearly zero.
    The processes of a world start with the same weights and keep the same. A checkpoint is saved after each epoch; an
    interrupted training resumes from it. Layers are computed in the context that `layers` returns.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    options: TrainerOptions
    world: World = field(default_factory=World)
    checkpoint: Checkpoint | None = None
    layers: Callable[[], AbstractContextManager[Any]] = nullcontext

    def fit(self, batches: Batches) -> History:
        """Train the network; return one record per epoch."""
        epochs, is_verbose = int(self.options.epochs), self.options.verbose and self.world.is_main
        # The rates are read first, because the schedule overwrites them with its own start.
        maxima = [group["lr"] for group in self.optimizer.param_groups]
        n_steps = int(epochs * batches.n_steps)
        self.prepare(lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, maxima, n_steps))
        best = _BestWeights()
        # Everything whose state a checkpoint holds.
        parts = {name: getattr(self, name) for name in ("network", "optimizer", "schedule", "scaler")} | {"best": best}
        saved = self.checkpoint and self.checkpoint.load(parts, self.device)
        history = History(
            saved["history"] if saved else (), self.options.classes, restores_best=self.options.patience is not None
        )
        self.world.check_equal({"checkpoint": len(history)})
        with (
            exact(self.device),
            _note_interruption(self.checkpoint, history, epochs),
            TrainingProgress(
                epochs, batches.n_items, int(is_verbose), len(history), self.options.unit, self.options.classes
            ) as progress,
        ):
            for epoch in range(len(history), epochs):
                if self.options.patience is not None and best.n_epochs_since >= self.options.patience:
                    break
                record = self._train_epoch(epoch, batches, progress)
                self._check_finite(epoch, record["loss"], weights=True)
                is_due = (epoch + 1) % self.options.validate_every == 0 or epoch + 1 == epochs
                if batches.validation is not None and is_due:
                    validated = self._evaluate(batches.validation())
                    self._check_finite(epoch, validated["loss"])
                    record |= {f"validation_{name}": value for name, value in validated.items()}
                if self.options.patience is not None:
                    best.update(record["validation_loss"], self.network)
                history.append(record)
                progress.finish_epoch(record)
                if self.checkpoint is not None:
                    self.checkpoint.save(parts, self.device, history=list(history))
                if self.world.is_main:
                    known = {"epochs": epochs, "classes": self.options.classes}
                    report_epoch_to(self.options.callbacks, {**record, **known})
            progress.finish(history)
        if best.weights is not None:
            self.network.load_state_dict(best.weights)
        self.network.eval()
        return history

    def prepare(self, make_schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]) -> None:
        """Set what the first step needs."""
        use_one_thread_after_fork()
        self.device = next(self.network.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.options.precision == torch.float16)
        self.schedule = make_schedule(self.optimizer)
        self.n_parts = 1  # of each batch, on a device with little memory

    def set_training_mode(self) -> None:
        """Set the network to learn, but not the statistics that it keeps."""
        self.network.train()
        if self.options.keep_statistics:
            for layer in self.network.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()

    def _train_epoch(self, epoch: int, batches: Batches, progress: TrainingProgress) -> dict[str, Any]:
        start = last_read = time.perf_counter()
        self.set_training_mode()
        metrics = RunningMetrics()
        steps = in_batches(batches.training(epoch), self.options.gradient_accumulation_steps)
        for index, step in enumerate(steps):
            self.step(step, metrics)
            if time.perf_counter() - last_read < _READ_INTERVAL_S and index + 1 < batches.n_steps:
                continue
            metrics.read()
            last_read = time.perf_counter()
            if self.world.size == 1:  # Several processes must stop together, at the end of the epoch.
                self._check_finite(epoch, metrics.loss)
            progress.advance(epoch + 1, batches.n_items * (index + 1) // batches.n_steps, *metrics.means())
        # Batch normalization that learns its statistics sees only one process's part of each batch, so the running
        # means and variances of the processes differ. Their mean makes the networks of all processes equal again.
        self.world.average_buffers(self.network)
        seconds = time.perf_counter() - start
        return {"epoch": float(epoch + 1), **metrics.record(self.world), "images_per_second": batches.n_items / seconds}

    def step(self, step: list[Batch], metrics: "RunningMetrics") -> None:
        """Update the weights by the gradients of one or more batches, over all processes."""
        # Losses are divided by the weight of the whole step, so that sums of gradients over batches and processes
        # are the gradient of the weighted mean.
        weight = self.world.sum(torch.stack([weights.sum() for _, _, weights in step]).sum())
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            parts = [
                part for batch in step for part in zip(*(values.chunk(self.n_parts) for values in batch), strict=True)
            ]
            try:
                outputs = [self._backward(part, weight) for part in parts]
                break
            except RuntimeError as exc:
                reason = describe_out_of_memory(exc)
            # Out of the handler, whose exception would keep the tensors of the failed part in memory.
            self._halve(step, reason)
        for part, output in zip(parts, outputs, strict=True):
            metrics.update(*output, *part[1:])
        self.world.sum_gradients(self.network.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()

    def _backward(self, part: tuple[torch.Tensor, ...], weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradients of a part of a step of the given weight; return losses and logits."""
        inputs, targets, weights = part
        with autocast(self.device, self.options.precision), self.layers():
            logits = self.network(inputs)
        losses = cross_entropy(logits.float(), targets, reduction="none", label_smoothing=self.options.label_smoothing)
        self.scaler.scale((losses * weights).sum() / weight.clamp_min(1e-12)).backward()
        return losses.detach(), logits.detach()

    def _halve(self, step: list[Batch], reason: str) -> None:
        """Compute batches in smaller parts from now on, whose gradients have the same sum.

        Raises EngineError if the statistics of batch normalization would differ, or parts are single images.
        """
        n_images = len(step[0][1])
        failure = f"{self.device} has too little memory to train on {n_images} {self.options.unit} at once ({reason})"
        if self.n_parts >= n_images:
            raise EngineError(f"{failure}, and on one, so a lower batch_size is no help; use device='cpu'.")
        if any(isinstance(layer, _BatchNorm) and layer.training for layer in self.network.modules()):
            raise EngineError(
                f"{failure}. Batch normalization learns from whole batches, so they are not divided; set "
                f"batch_size={max(1, n_images * self.world.size // 2)} and "
                f"gradient_accumulation_steps={2 * len(step)}, or a smaller image_size."
            )
        self.n_parts *= 2
        _log.warning("%s; each batch is divided into %d parts from now on.", failure, self.n_parts)

    def _check_finite(self, epoch: int, loss: float, *, weights: bool = False) -> None:
        """Raise NotFiniteError if the loss, or on request a weight, is NaN or infinite: training has diverged."""
        fault = None if math.isfinite(loss) else f"the loss is {loss}"
        if fault is None and weights:
            # One answer for all weights, because each answer is a wait for the device.
            are_finite = torch.stack([value.isfinite().all() for value in self.network.parameters()]).all()
            fault = None if are_finite else "weights are NaN or infinite"
        if fault is None:
            return
        rates = ", ".join(f"{rate:g}" for rate in sorted({group["max_lr"] for group in self.optimizer.param_groups}))
        raise NotFiniteError(
            f"training diverged in epoch {epoch + 1}: {fault}. Choose a lower learning_rate (the maximum was {rates}), "
            f"and look for extreme sample weights or class weights."
        )

    def _evaluate(self, batches: Iterable[Batch]) -> dict[str, Any]:
        self.network.eval()
        metrics, n_classes = RunningMetrics(), len(self.options.classes)
        cells = []
        with torch.inference_mode(), autocast(self.device, self.options.precision):
            for inputs, targets, weights in batches:
                logits = self.network(inputs).float()
                metrics.update(cross_entropy(logits, targets, reduction="none"), logits, targets, weights)
                cells.append(targets * n_classes + logits.argmax(1))
        # Of a few validation images, a process may have none.
        counts = np.bincount(torch.cat(cells).cpu().numpy() if cells else [], minlength=n_classes**2)
        confusion = np.array(self.world.sum_floats(counts.tolist())).reshape(n_classes, n_classes)
        return metrics.record(self.world) | describe_confusion(confusion.astype(np.int64))


def make_adamw(parameters: Any, **options: Any) -> torch.optim.AdamW:
    """Build AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in its fused form, which is faster."""
    return torch.optim.AdamW(parameters, fused=True, **options)


@contextmanager
def _note_interruption(checkpoint: Checkpoint | None, history: History, epochs: int) -> Iterator[None]:
    """Add a note to KeyboardInterrupt or a failure of a callback that says how many epochs are saved, and where."""
    try:
        yield
    except (KeyboardInterrupt, PluginError) as exc:
        done = f"interrupted after {len(history)} of {epochs} epochs"
        if checkpoint is not None and history:
            exc.add_note(f"{done}, which are saved in {checkpoint.file}; the same fit resumes there.")
        elif checkpoint is not None:
            exc.add_note(f"{done}; there is nothing to save yet.")
        elif isinstance(exc, KeyboardInterrupt):
            exc.add_note(f"{done}; nothing is saved. Use checkpoint=DIR to save every epoch.")
        raise


class RunningMetrics:
    """Weighted loss and accuracy of the items of this process so far.

    The sums of an update stay on the device until all new ones are read together.
    """

    def __init__(self) -> None:
        self.loss = self.correct = self.weight = 0.0
        self._unread: list[torch.Tensor] = []

    def update(self, losses: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> None:
        correct = (logits.argmax(1) == targets).float()
        self._unread.append(torch.stack([(losses * weights).sum(), (correct * weights).sum(), weights.sum()]))

    def read(self) -> None:
        """Add the new sums to the attributes, which waits for the device."""
        for loss, correct, weight in torch.stack(self._unread).tolist() if self._unread else ():
            self.loss += loss
            self.correct += correct
            self.weight += weight
        self._unread.clear()

    def means(self) -> tuple[float, float]:
        weight = max(self.weight, 1e-12)
        return self.loss / weight, self.correct / weight

    def record(self, world: World) -> dict[str, float]:
        """Return the metrics over the items of all processes."""
        self.read()
        self.loss, self.correct, self.weight = world.sum_floats([self.loss, self.correct, self.weight])
        return dict(zip(("loss", "accuracy"), self.means(), strict=True))


class _BestWeights:
    """The weights with the lowest validation loss so far, for early stopping."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.n_epochs_since = 0
        self.weights: dict[str, Any] | None = None

    def update(self, loss: float, network: nn.Module) -> None:
        self.n_epochs_since += 1
        if loss < self.loss:
            self.loss, self.n_epochs_since = loss, 0
            # The state dict refers to the weights themselves, which training goes on to change.
            self.weights = copy.deepcopy(network.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return vars(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
