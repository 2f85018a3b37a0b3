import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from maskkit._training.depthwise import FastDepthwise

# Older versions of PyTorch do not report capabilities.
CAPABILITIES = getattr(torch.cpu, "get_capabilities", dict)()
HAS_BFLOAT16 = not CAPABILITIES or bool(CAPABILITIES.get("avx512_bf16") or CAPABILITIES.get("amx_bf16"))


def gradients_of(layer, inputs, *, is_quick):
    layer.zero_grad()
    inputs = inputs.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if is_quick:
            with FastDepthwise():
                outputs = layer(inputs)
        else:
            outputs = layer(inputs)
    (outputs.float() * torch.linspace(-1, 1, outputs.numel()).view(outputs.shape)).sum().backward()
    return outputs, inputs.grad, [parameter.grad.clone() for parameter in layer.parameters()]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "n_out"),
    [
        (3, 1, 1, 1, 8),
        (5, 1, 2, 1, 8),
        (5, 2, 2, 1, 8),
        (3, 2, 0, 1, 8),
        (7, 1, 3, 1, 8),
        (4, 2, 1, 1, 8),
        ((1, 7), 1, (0, 3), 1, 8),
        ((7, 1), 1, (3, 0), 1, 8),
        ((7, 5), (2, 1), (3, 2), 1, 8),
        (5, 1, 4, 2, 8),
        (5, 1, 2, 1, 16),
    ],
)
def test_outputs_are_the_same_and_gradients_right(kernel, stride, padding, dilation, n_out, has_bias):
    torch.manual_seed(0)
    shape = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 8, "bias": has_bias}
    layer = nn.Conv2d(8, n_out, kernel, **shape)
    inputs = torch.randn(4, 8, 12, 12).to(memory_format=torch.channels_last)
    usual, quick = (gradients_of(layer, inputs, is_quick=is_quick) for is_quick in (False, True))
    assert torch.equal(quick[0], usual[0])
    rounded = nn.Conv2d(8, n_out, kernel, **shape)
    rounded.load_state_dict(layer.state_dict())
    wanted = inputs.bfloat16().float().requires_grad_()
    outputs = rounded(wanted)
    # What comes back through a bfloat16 layer is bfloat16.
    factor = torch.linspace(-1, 1, outputs.numel()).view(outputs.shape).bfloat16().float()
    (outputs * factor).sum().backward()
    right = [wanted.grad, *(parameter.grad for parameter in rounded.parameters())]
    if not HAS_BFLOAT16:
        # PyTorch's kernels for inputs and weights are further off on such processors, and ours call them.
        right[:2] = usual[1], usual[2][0]
    for ours, theirs in zip([quick[1], *quick[2]], right, strict=True):
        # As far off as bfloat16 rounds what comes out.
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("groups", [1, 2])
def test_other_convolutions_are_left_alone(groups):
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(8, 8, 3, groups=groups), torch.randn(2, 8, 6, 6)
    usual, quick = (gradients_of(layer, inputs, is_quick=is_quick) for is_quick in (False, True))
    assert torch.equal(quick[1], usual[1])


def test_arguments_may_be_keywords_or_words():
    inputs, weight = torch.randn(1, 4, 6, 6), torch.randn(4, 1, 3, 3, requires_grad=True)
    with FastDepthwise():
        by_keyword = conv2d(input=inputs, weight=weight, padding=1, groups=4)
        assert conv2d(inputs, weight, None, padding="same", groups=4).shape == by_keyword.shape == (1, 4, 6, 6)
