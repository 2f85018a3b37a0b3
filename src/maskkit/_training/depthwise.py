"""Faster gradients of depthwise convolutions in bfloat16 on CPUs."""

from typing import Any

import torch
from torch.nn.functional import pad
from torch.nn.grad import conv2d_weight
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]  # height and width


class FastDepthwise(TorchFunctionMode):
    """Context in which bfloat16 depthwise convolutions use fast gradient kernels.

    oneDNN has no fast kernel for two gradients, which take more than half of a training step of EfficientNet-Lite0 on a
    CPU with AVX-512 BF16: without this context, training is about half as fast. Gradients with respect to the inputs of
    a convolution with a stride are computed in float32, in a fifth of the time. Gradients with respect to weights
    larger than 3 x 3 are assembled from 3 x 3 parts, in a tenth of the time. Remove it when oneDNN has such kernels.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_conv2d if func is torch.conv2d else func)(*args, **(kwargs or {}))


def _conv2d(
    input: torch.Tensor,  # noqa: A002  # torch's name, and a keyword
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    is_depthwise = groups > 1 and groups == input.shape[1]
    if not is_depthwise or isinstance(padding, str) or input.ndim != 4 or not torch.is_grad_enabled():
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    with torch.autocast(input.device.type, enabled=False):
        return _Depthwise.apply(input, weight, bias, *map(_pair, (stride, padding, dilation)), groups)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> torch.Tensor:
        rounded = inputs.bfloat16()
        ctx.save_for_backward(rounded, weight)
        ctx.rest = (inputs.dtype, bias is not None, stride, padding, dilation)
        rounded_bias = None if bias is None else bias.bfloat16()
        return torch.conv2d(rounded, weight.bfloat16(), rounded_bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs, weight = ctx.saved_tensors
        dtype, has_bias, stride, padding, dilation = ctx.rest
        (gradient,) = gradients
        grad_inputs = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            fast = torch.float32 if max(stride) > 1 else torch.bfloat16
            # torch.nn.grad.conv2d_input takes three times as long, because it does not know the memory format. Only
            # the shape and format of the inputs are used.
            like = torch.empty_like(inputs, dtype=fast)
            options = (None, stride, padding, dilation, False, (0, 0), inputs.shape[1], (True, False, False))
            grad_inputs = torch.ops.aten.convolution_backward(gradient.to(fast), like, weight.to(fast), *options)[0]
            grad_inputs = grad_inputs.to(dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(gradient, inputs, weight, stride, padding, dilation)
        if has_bias:
            grad_bias = gradient.float().sum((0, 2, 3))
        return grad_inputs, grad_weight, grad_bias, None, None, None, None


def _weight_gradient(
    gradient: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> torch.Tensor:
    """Return the float32 gradient of a weight; of one larger than 3 x 3, from overlapping 3 x 3 parts."""
    rows, columns = weight.shape[2:]
    n_channels = inputs.shape[1]
    is_made_of_parts = max(rows, columns) > 3 and min(rows, columns) >= 3 and rows % 2 == columns % 2 == 1
    if not is_made_of_parts or max(dilation) > 1:
        return conv2d_weight(inputs, weight.shape, gradient, stride, padding, dilation, n_channels).float()
    padded = pad(inputs, (padding[1], padding[1], padding[0], padding[0]))
    # The gradient of each element of the weight depends only on the inputs that it was multiplied with: for a part of
    # 3 x 3 elements, these are the padded inputs, shifted by its position. Parts begin at every second row and column,
    # which covers any odd size; where they overlap, the gradients agree. A 3 x 3 convolution with an output of this
    # size has an input of this height and width.
    height, width = ((side - 1) * step + 3 for side, step in zip(gradient.shape[2:], stride, strict=True))
    whole = torch.empty_like(weight)
    part = (len(weight), 1, 3, 3)
    for row in range(0, rows - 2, 2):
        for column in range(0, columns - 2, 2):
            window = padded[:, :, row : row + height, column : column + width]
            window = window.contiguous(memory_format=torch.channels_last)
            part_gradient = conv2d_weight(window, part, gradient, stride, groups=n_channels)
            whole[:, :, row : row + 3, column : column + 3] = part_gradient
    return whole
