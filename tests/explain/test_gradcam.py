"""Grad-CAM: the choice of the layer, and the formula of the map."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from maskkit._explain.gradcam import find_map_layer, grad_cam


class Functional(nn.Module):
    """A network that pools in `forward` and uses one activation module twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.ReLU(inplace=True)

    def forward(self, pixels):
        return self.act(self.second(self.act(self.first(pixels)))).mean(dim=(2, 3))


def timm_network(name):
    return timm.create_model(name, num_classes=0).eval()


@pytest.mark.parametrize(
    ("network", "size_px", "layer"),
    [
        (lambda: torchvision.models.resnet18(), 64, "layer4"),
        # At 32 px the map of the fourth stage has a single position.
        (lambda: torchvision.models.resnet18(), 32, "layer3"),
        (lambda: timm_network("tf_efficientnet_lite0"), 64, "bn2"),
        (lambda: timm_network("mobilenetv3_small_050"), 64, "blocks"),
        (lambda: timm_network("test_convnext"), 64, "norm_pre"),
        (lambda: torchvision.models.swin_t(), 64, "permute"),
        (Functional, 16, "act"),
    ],
)
def test_last_layer_with_a_feature_map_is_found(network, size_px, layer):
    network = network().eval()
    assert find_map_layer(network, size_px) == layer
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    "network",
    [
        lambda: timm_network("test_vit"),  # tokens follow the only map, that of the patches
        lambda: timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, img_size=64),  # (n, h, w, C)
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 8)),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ],
)
def test_network_without_a_final_feature_map_raises(network):
    network = network().eval()
    with pytest.raises(ValueError, match=r"has no final feature map .* needs a convolutional backbone"):
        find_map_layer(network, 64)
    assert not any(module._forward_hooks for module in network.modules())


def test_map_equals_the_formula_of_the_paper():
    """With mean pooling and one linear layer, Grad-CAM is CAM: the map weighted by the class's weights (section 3)."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Linear(6, 3)
    pixels = torch.rand(2, 3, 8, 8)
    heat = grad_cam(backbone, head, "1", pixels, [2, 0])
    assert heat.shape == (2, 6, 6)
    assert heat.dtype == np.float32
    with torch.no_grad():
        maps = backbone[:2](pixels)
        for index, target in enumerate([2, 0]):
            signed = (head.weight[target][:, None, None] * maps[index]).sum(dim=0).numpy()
            np.testing.assert_allclose(heat[index], signed.clip(0) / abs(signed).max(), atol=1e-6)


def test_class_without_support_has_an_empty_map():
    backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[-1.0, -2.0], [0.0, 0.0]]))
    assert not grad_cam(backbone, head, "1", torch.rand(2, 3, 4, 4), [0, 1]).any()


def test_frozen_network_within_no_grad_is_explained_and_stays_frozen():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(backbone, nn.Linear(4, 2)).requires_grad_(False)
    with torch.no_grad():
        heat = (
            grad_cam(*network, "0", torch.rand(1, 3, 4, 4), [0]),
            grad_cam(*network, "0", torch.rand(1, 3, 4, 4), [1]),
        )
    assert np.any(heat)
    assert not any(parameter.requires_grad for parameter in network.parameters())
