"""Layers that look beyond one image, when a batch is spread over several processes."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import batch_norm, dropout
from torch.overrides import TorchFunctionMode

from maskkit._training.processes import Processes


class GlobalBatch(TorchFunctionMode):
    """Within this context networks see their images as part of the batch of all processes.

    Batch normalisation uses the statistics of the whole batch, on any device (torch's SyncBatchNorm
    knows CUDA only). Dropout and stochastic depth draw for the whole batch and take the rows of this
    process, so that processes with equally seeded generators drop what one process would.

    Parameters
    ----------
    processes : Processes
        More than one.
    n_images : int
        In the batch of all processes.
    """

    def __init__(self, processes: Processes, n_images: int):
        super().__init__()
        self.processes = processes
        self.n_images = n_images
        rows = processes.share(np.arange(n_images))
        self.rows = slice(int(rows[0]), int(rows[-1]) + 1)
        self._ours = {
            batch_norm: self._batch_norm,
            dropout: self._dropout,
            torch.Tensor.bernoulli_: self._bernoulli,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._ours.get(func, func)(*args, **(kwargs or {}))

    # `input` is torch's name, which callers may use as a keyword.
    def _batch_norm(
        self,
        input: torch.Tensor,  # noqa: A002
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Any:
        if not training:
            return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
        return _BatchNorm.apply(input, weight, bias, running_mean, running_var, momentum, eps, self.processes)

    def _dropout(
        self,
        input: torch.Tensor,  # noqa: A002
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> torch.Tensor:
        if not training or not self._is_batch(input):
            return dropout(input, p, training, inplace)
        mask = dropout(self._widen(input).fill_(1), p)[self.rows]
        return input.mul_(mask) if inplace else input * mask

    def _bernoulli(self, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not self._is_batch(tensor):
            return tensor.bernoulli_(*args, **kwargs)
        return tensor.copy_(self._widen(tensor).bernoulli_(*args, **kwargs)[self.rows])

    def _is_batch(self, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 1 and len(tensor) == self.rows.stop - self.rows.start

    def _widen(self, part: torch.Tensor) -> torch.Tensor:
        """Make an empty tensor for the whole batch, in the same order in memory as its part."""
        return part.detach().new_empty_strided((self.n_images, *part.shape[1:]), part.stride())


class _BatchNorm(torch.autograd.Function):
    """Batch normalisation over all processes (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Gradients of weight and bias are those of this process's images, as other layers' are: whoever adds
    up the gradients of all processes has the whole.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        momentum: float,
        eps: float,
        processes: Processes,
    ) -> torch.Tensor:
        n_channels = inputs.shape[1]
        dimensions = [0, *range(2, inputs.ndim)]
        own_var, own_mean = torch.var_mean(inputs.float(), dimensions, correction=0)
        own_count = own_mean.new_tensor([inputs.numel() / n_channels])
        gathered = processes.gather(torch.cat([own_mean, own_var, own_count]))
        means, variances, counts = gathered.split([n_channels, n_channels, 1], dim=1)
        n_values = float(counts.sum())
        mean = (means * counts).sum(0) / n_values
        var = ((variances + (means - mean) ** 2) * counts).sum(0) / n_values
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (n_values / (n_values - 1)), momentum)
        ctx.save_for_backward(inputs, weight, mean, (var + eps).rsqrt())
        ctx.rest = (dimensions, n_values, processes)
        return batch_norm(inputs, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs, weight, mean, scale = ctx.saved_tensors
        dimensions, n_values, processes = ctx.rest
        shape = [1, -1] + [1] * (inputs.ndim - 2)
        gradient = gradients[0].float()
        normalised = (inputs.float() - mean.view(shape)) * scale.view(shape)
        own = torch.stack([gradient.sum(dimensions), (gradient * normalised).sum(dimensions)])
        by_mean, by_scale = processes.sum(own) / n_values
        factor = scale if weight is None else scale * weight
        centred = gradient - by_mean.view(shape) - normalised * by_scale.view(shape)
        to_inputs = (centred * factor.view(shape)).to(inputs.dtype)
        to_weight, to_bias = (None, None) if weight is None else (own[1], own[0])
        return to_inputs, to_weight, to_bias, None, None, None, None, None
