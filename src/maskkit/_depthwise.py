"""Depthwise convolutions, which CPUs train slowly in bfloat16."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class ExactDepthwise(TorchFunctionMode):
    """Within this context depthwise convolutions run forward in bfloat16 and backward in float32.

    oneDNN has no fast bfloat16 kernel for some of their gradients: on a CPU with AVX-512 BF16 those of
    EfficientNet-Lite0's took four times as long as in float32, more than half of the whole step.
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


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> torch.Tensor:
        rounded = inputs.bfloat16()
        ctx.save_for_backward(rounded, weight)
        ctx.rest = (inputs.dtype, bias is not None, stride, padding, dilation, groups)
        shift = None if bias is None else bias.bfloat16()
        return torch.conv2d(rounded, weight.bfloat16(), shift, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        inputs, weight = ctx.saved_tensors
        dtype, has_bias, stride, padding, dilation, groups = ctx.rest
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], has_bias)
        to_inputs, to_weight, to_bias = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            inputs.float(),
            weight,
            [len(weight)] if has_bias else None,
            stride,
            padding,
            dilation,
            False,  # not transposed
            (0, 0),
            groups,
            wanted,
        )
        return None if to_inputs is None else to_inputs.to(dtype), to_weight, to_bias, None, None, None, None
