"""Learning rate range test: the loss of a network at rising learning rates (Smith 2017, arXiv:1506.01186)."""

import math
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from maskkit._images.prefetch import in_batches
from maskkit._labels import BLUE, VERMILION
from maskkit._training.trainer import Batches, RunningMetrics, Trainer
from maskkit.engines._devices import exact
from maskkit.exceptions import NotFiniteError

if TYPE_CHECKING:
    from maskkit._display.figures import TextSafeFigure

# Losses of single batches vary, so they are smoothed over about this share of the steps.
_SMOOTHING = 0.04
# The test ends once the mean loss of this many steps is this many times the lowest, as in fastai and Lightning.
_N_MEAN, _DIVERGED = 5, 4.0


@dataclass(frozen=True, eq=False)
class LearningRates:
    """Losses at rising learning rates, as `maskkit.find_learning_rate` returns them.

    Attributes
    ----------
    rates : ndarray of shape (n_steps,), float64
        Learning rates, each higher than the one before by the same factor.
    losses : ndarray of shape (n_steps,), float64
        Cross-entropy of the batch of each step, before the network learned from it. It has fewer steps than were asked
        for if training diverged.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<LearningRates {self.rates[0]:.1e} to {self.rates[-1]:.1e}: suggested {self.suggested:.1e}>"

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """Losses smoothed by a Gaussian, (n_steps,) float64."""
        smoothed: NDArray[np.float64] = gaussian_filter1d(self.losses, _SMOOTHING * len(self.losses), mode="nearest")
        return smoothed

    @property
    def suggested(self) -> float:
        """Rate at which the smoothed loss falls most steeply before its minimum, a maximum for the schedule."""
        falling = np.gradient(self.smoothed)[: max(1, int(self.smoothed.argmin()))]
        return float(self.rates[falling.argmin()])

    def figure(self) -> "TextSafeFigure":
        """Draw the losses over the learning rates, and the suggested one."""
        from maskkit._display.figures import TextSafeFigure

        figure = TextSafeFigure(figsize=(7.2, 3.2), dpi=120, layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, ".", color=BLUE, alpha=0.4, label="loss of a batch")
        axes.plot(self.rates, self.smoothed, color=BLUE, label="smoothed")
        axes.axvline(self.suggested, color=VERMILION, linestyle="--", label=f"suggested: {self.suggested:.1e}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure


def sweep_rates(trainer: Trainer, batches: Batches, rates: NDArray[np.float64]) -> LearningRates:
    """Train for one step at each rate, a factor of those of the optimizer, and return the losses."""
    trainer.prepare(lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, [*rates, rates[-1]].__getitem__))
    losses: list[float] = []
    lowest = math.inf
    with exact(trainer.device):
        trainer.set_training_mode()
        endless = chain.from_iterable(map(batches.training, count()))
        steps = in_batches(endless, trainer.options.gradient_accumulation_steps)
        for step in islice(steps, len(rates)):
            metrics = RunningMetrics()
            trainer.step(step, metrics)
            losses.append(metrics.record(trainer.world)["loss"])
            mean = float(np.mean(losses[-_N_MEAN:]))
            lowest = min(lowest, mean)
            if not mean <= _DIVERGED * lowest:  # Not a number diverges, too.
                break
    n_finite = int(np.isfinite(losses).sum())
    if n_finite < _N_MEAN:
        raise NotFiniteError(
            f"the loss is {losses[n_finite]} at a learning rate of {rates[n_finite]:.1e} already; choose a lower "
            f"min_rate, and look for extreme class weights."
        )
    return LearningRates(rates[:n_finite], np.array(losses[:n_finite]))
