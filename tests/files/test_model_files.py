"""Model files: format 1 is read for ever, killed saves lose nothing, and hostile files get one clear error."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, strategies as st

from maskkit import MaskClassifier
from maskkit.backbones._base import describe_network, read_state_dict
from maskkit.exceptions import ModelFileError
from maskkit.testing import TinyBackbone, make_faces
from tests.conftest import fuzzing

# Written by maskkit 0.1.0: MaskClassifier("timm:test_efficientnet", weights=None, image_size=32, detector="whole",
# fine_tune=True, epochs=30, learning_rate=3e-3, augment=None, random_state=0).fit(*make_faces(40)), with half=True.
GOLDEN = Path(__file__).parents[1] / "golden" / "format-1"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "model"))


def test_format_1_is_read_for_ever():
    """If this fails, mend the reader; the golden file stays as it is."""
    model = MaskClassifier.load(GOLDEN, engine="torch", precision="float32")
    wanted = json.loads((GOLDEN.parent / "format-1.json").read_text())
    assert model.classes_.tolist() == ["with_mask", "without_mask"]
    faces, labels = make_faces(8, random_state=1)
    np.testing.assert_allclose(model.predict_proba(faces), wanted["proba"], atol=1e-3)
    assert model.predict(faces).tolist() == labels.tolist()
    assert [record["epoch"] for record in model.history_] == [float(epoch) for epoch in range(1, 31)]
    assert json.loads((GOLDEN / "maskkit.json").read_text())["format_version"] == 1


def test_each_file_has_its_digest(savable, tmp_path):
    folder = savable.save(tmp_path / "model")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del digests["maskkit.json"]
    listed = json.loads((folder / "maskkit.json").read_text())["files"]
    assert listed == {name: {"sha256": digest} for name, digest in digests.items()}
    assert set(listed) == {"README.md", "model.safetensors"}


N_KILLS = 200 if "MASKKIT_FUZZ" in os.environ else 40


def test_fuzz_save_killed_at_any_moment_leaves_a_complete_model(tmp_path):
    """Processes save one of two models in turn, each killed in the middle; 200 of them with MASKKIT_FUZZ."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.files.killed_saves", str(GOLDEN), str(tmp_path / "model"), str(N_KILLS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    tally = json.loads(result.stdout)
    assert tally["broken"] == 0
    assert tally["first"] + tally["second"] == N_KILLS
    # They really were in the middle: many leave what they were writing, and both models were found.
    assert tally["interrupted"] > N_KILLS / 4
    assert min(tally["first"], tally["second"]) > N_KILLS / 10


def limit_files(max_bytes):
    """A disk that is full: longer files end with an error of the system."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, resource.RLIM_INFINITY))


WRITES = {
    "save": "model.save(target)",
    "openvino": "export(model, target, output_format='openvino')",
    "onnx": "export(model, target, output_format='onnx')",
    "checkpoint": "fit(checkpoint=target)",
}


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    """Write everything on a full disk, in one process; return its folder and the errors by name."""
    folder = tmp_path_factory.mktemp("full")
    code = (
        "import json, sys\n"
        "from maskkit import MaskClassifier, export\n"
        "from maskkit.exceptions import ModelFileError\n"
        "from tests.training.fine_tuning import fit\n"
        "from tests.files.test_model_files import GOLDEN, WRITES, limit_files\n"
        "model, errors = MaskClassifier.load(GOLDEN), {}\n"
        "limit_files(100_000)\n"
        "for name, write in WRITES.items():\n"
        "    target = sys.argv[1] + '/' + name\n"
        "    try: exec(write)\n"
        "    except ModelFileError as exc: errors[name] = str(exc)\n"
        "print(json.dumps(errors))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout)


@pytest.mark.parametrize("name", WRITES)
def test_full_disk_is_one_error_and_leaves_nothing_half_written(full_disk, name):
    folder, errors = full_disk
    assert str(folder / name) in errors[name]
    assert "cannot be written (" in errors[name]
    assert [path for path in (folder / name).rglob("*") if not path.is_dir()] == []
    assert [path for path in folder.glob(f".{name}*") if path.is_file()] == []


def change(folder, place, value):
    """Put a value into maskkit.json, where `place` names the keys that lead there."""
    path = folder / "maskkit.json"
    document = json.loads(path.read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(document))


HOSTILE = [
    (["classes"], "with_mask", "classes is a str, want a list"),
    (["classes"], [], "want two or more"),
    (["classes"], ["with_mask"], "want two or more"),
    (["classes"], ["with_mask", "with_mask"], "sorted and unique"),
    (["classes"], ["without_mask", "with_mask"], "sorted and unique"),
    (["classes"], [["with_mask"], ["without_mask"]], "want two or more"),
    (["classes"], ["with_mask", 1], "want two or more"),
    (["classes"], [1, 10**30], "want two or more"),
    (["classes"], ["a", "b", "c"], "its parts do not match"),
    (["format_version"], True, "has format version True"),
    (["format_version"], "1", "has format version '1'"),
    (["files"], [], "files is a list, want a dict"),
    (["files"], {}, "is damaged or was changed"),
    (["files", "model.safetensors"], "abc", "is damaged or was changed"),
    (["files", "model.safetensors", "sha256"], None, "is damaged or was changed"),
    (["files", "int8.xml"], {"sha256": ""}, "int8.xml is missing|lists only one of"),
    (["backbone"], {}, "its parts do not match"),
    (["backbone"], "resnet50", "backbone is a str"),
    (["backbone", "spec"], 5, "its parts do not match|needs a plugin"),
    (["backbone", "spec"], "nonsense", "backbone 'nonsense' is unknown"),
    (["backbone", "spec"], "timm:nonsense", "'timm:nonsense' is unknown to timm"),
    (["backbone", "spec"], "timm:hf-hub:somebody/something", "is unknown to timm"),
    (["backbone", "spec"], "timm:test_resnet", "its parts do not match"),
    (["backbone", "params"], {"evil": 1}, "its parts do not match"),
    (["detector", "spec"], "nonsense", "detector 'nonsense' is unknown"),
    (["detector", "params"], [1], "its parts do not match"),
    (["preprocess"], {}, "its parts do not match"),
    (["preprocess", "image_size"], 10**9, "image_size"),
    (["preprocess", "image_size"], 0, "image_size"),
    (["preprocess", "image_size"], "32", "image_size"),
    (["preprocess", "mean"], [0.5], "mean is"),
    (["preprocess", "mean"], [None, 0.5, 0.5], r"mean\[0\] is"),
    (["preprocess", "mean"], [float("nan")] * 3, r"mean\[0\] is"),
    (["preprocess", "std"], [0, 0, 0], "std is"),
    (["preprocess", "std"], 5, "its parts do not match"),
    (["head", "n_features"], 10**12, "its parts do not match"),
    (["head", "n_features"], -1, "its parts do not match"),
    (["head", "n_features"], 0, "n_features"),
    (["head", "n_features"], False, "n_features"),
    (["head", "hidden_units"], 10**9, "its parts do not match"),
    (["head", "hidden_units"], "many", "hidden_units"),
    (["head", "dropout"], 7, "dropout"),
    (["head", "evil"], 1, "its parts do not match"),
    (["params", "threshold"], "high", "threshold"),
    (["params", "evil"], 1, "its parts do not match"),
    (["params", "class_weight"], {"pairs": 3}, "its parts do not match"),
    (["training"], {}, "its parts do not match"),
    (["training", "class_counts"], {"a": 1}, "class_counts"),
    (["training", "class_counts"], [1], "class_counts"),
    (["training", "history"], 7, "history"),
    (["training", "fine_tuned"], "yes", "fine_tuned"),
]


@pytest.mark.parametrize(("place", "value", "message"), HOSTILE, ids=lambda value: str(value)[:30])
def test_hostile_settings_are_refused(folder, place, value, message):
    change(folder, place, value)
    with pytest.raises(ModelFileError, match=message) as caught:
        MaskClassifier.load(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def deep(folder):
    (folder / "maskkit.json").write_text("[" * 200_000)


def longer_than_any(folder):
    with open(folder / "maskkit.json", "wb") as file:
        file.truncate(10**10)  # a hole: takes no room on the disk


def pipe(folder):
    (folder / "maskkit.json").unlink()
    os.mkfifo(folder / "maskkit.json")


def directory(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def not_a_number(folder):
    replace_tensors(folder, lambda name, tensor: tensor * float("nan") if name == "head.3.bias" else tensor)


def integers(folder):
    replace_tensors(folder, lambda name, tensor: tensor.long())


def misshapen(folder):
    replace_tensors(folder, lambda name, tensor: tensor.reshape(-1))


def a_pickle(folder):
    torch.save({"head.3.bias": torch.zeros(2)}, folder / "model.safetensors")
    sign(folder)


def replace_tensors(folder, change_tensor):
    path = folder / "model.safetensors"
    tensors = {name: change_tensor(name, tensor) for name, tensor in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(tensors, path)
    sign(folder)


def sign(folder):
    """Whoever is hostile knows how to count a digest."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    change(folder, ["files", "model.safetensors", "sha256"], digest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (deep, r"maskkit\.json: cannot be read"),
        (longer_than_any, r"maskkit\.json: has 10,000,000,000 bytes"),
        (pipe, r"maskkit\.json: is not a regular file"),
        (directory, r"model\.safetensors: is not a regular file"),
        (not_a_number, r"model\.safetensors: holds weights that are not finite"),
        (misshapen, "its parts do not match"),
        (a_pickle, r"model\.safetensors: is not a safetensors file"),
    ],
)
def test_hostile_files_are_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(ModelFileError, match=message):
        MaskClassifier.load(folder)


def test_weights_of_another_type_are_read_as_numbers(folder):
    integers(folder)
    assert np.isfinite(MaskClassifier.load(folder).predict_proba(make_faces(2)[0])).all()


def try_to_load(folder):
    """Return "read" or "refused"; anything else fails the test."""
    try:
        MaskClassifier.load(folder)
    except ModelFileError as exc:
        message = str(exc)
    else:
        return "read"
    assert message.startswith(str(folder))
    return "refused"


@pytest.mark.parametrize("name", ["maskkit.json", "model.safetensors"])
def test_truncated_at_every_tenth(folder, name):
    data = (folder / name).read_bytes()
    for tenth in range(10):
        (folder / name).write_bytes(data[: len(data) * tenth // 10])
        assert try_to_load(folder) == "refused"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(inner, *above):
    """Every way into a document."""
    for key, value in inner.items() if isinstance(inner, dict) else enumerate(inner):
        yield [*above, key]
        if isinstance(value, (dict, list)):
            yield from places(value, *above, key)


# The training's record is told to people and never computed with, but for what is named here.
PLACES = [
    place
    for place in places(json.loads((GOLDEN / "maskkit.json").read_text()))
    if place[0] != "training" or place[1:] in (["class_counts"], ["fine_tuned"], ["history"])
]


@fuzzing(80)
@given(data=st.data())
def test_fuzz(tmp_path_factory, data):
    """Any value at any place of the settings; any bytes at any place of the weights, rightly signed."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path_factory.mktemp("fuzz") / "model"))
    if data.draw(st.booleans()):
        change(folder, data.draw(st.sampled_from(PLACES)), data.draw(ANYTHING))
    else:
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        # Half of the time within the header, where shapes and offsets are.
        place = data.draw(st.integers(0, 2_000) | st.integers(0, len(whole)))
        path.write_bytes(
            whole[:place] + data.draw(st.binary(max_size=12)) + whole[place + data.draw(st.integers(0, 12)) :]
        )
        sign(folder)
    try_to_load(folder)
    shutil.rmtree(folder.parent)


def claim_tensor(path, name, n_bytes):
    """Write a file of a few bytes that states a tensor of many, which are a hole."""
    entry = {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [0, n_bytes]}
    header = json.dumps({name: entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + n_bytes)


@pytest.mark.parametrize("spec", ["timm:vit_gigantic_patch14_224", "timm:eva02_enormous_patch14_clip_224", "resnet50"])
def test_network_that_does_not_fit_the_weights_is_not_built(folder, monkeypatch, spec):
    change(folder, ["backbone", "spec"], spec)
    # What is built without memory has another way in.
    monkeypatch.setattr("maskkit._model.saving.build_network", lambda *_: pytest.fail("it was built"))
    with pytest.raises(ModelFileError, match=rf"its parts do not match .*{spec} does not fit this network: it lacks"):
        MaskClassifier.load(folder)


@pytest.mark.parametrize("name", ["backbone.other", "backbone.conv_stem.weight", "other"])
def test_huge_tensors_that_a_file_states_are_not_read(folder, monkeypatch, name):
    claim_tensor(folder / "model.safetensors", name, 2 * 10**10)
    monkeypatch.setattr("safetensors.torch.load_file", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ModelFileError, match="its parts do not match"):
        MaskClassifier.load(folder)


def test_huge_int8_files_are_not_read(folder):
    for name in ("int8.xml", "int8.bin"):
        (folder / name).touch()
        os.truncate(folder / name, 10**8)
        digest = hashlib.sha256(bytes(10**8)).hexdigest()
        change(folder, ["files", name], {"sha256": digest})
    with pytest.raises(ModelFileError, match=r"int8\.xml: has 100,000,000 bytes, more than any model's"):
        MaskClassifier.load(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["head", "hidden_units"], 10**12),
        (["head", "hidden_units"], -1),
        (["head", "hidden_units"], 2**70),
        (["head", "n_features"], 10**12),
    ],
)
def test_huge_heads_are_refused(folder, place, value):
    change(folder, place, value)
    with pytest.raises(ModelFileError, match=r"its parts do not match|hidden_units"):
        MaskClassifier.load(folder)


class ValueNetwork(TinyBackbone):
    """A backbone that needs the values of its weights when it is built."""

    def build(self, weights):
        network = super().build(weights)
        self.total = sum(float(parameter.sum()) for parameter in network.parameters())
        return network


def test_backbone_that_needs_values_to_be_built_is_not_compared_first():
    assert describe_network(ValueNetwork()) is None
    assert describe_network(TinyBackbone()) == {
        name: tuple(tensor.shape) for name, tensor in TinyBackbone().build(None).state_dict().items()
    }


def test_describing_a_network_draws_no_random_numbers():
    state = torch.get_rng_state()
    describe_network(TinyBackbone())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
def test_weights_are_read_from_files_whose_names_are_not_utf8(savable, tmp_path, faces):
    folder = savable.save(tmp_path / os.fsdecode(b"m\xff"))
    assert MaskClassifier.load(folder).predict(faces[0][:2]).tolist() == savable.predict(faces[0][:2]).tolist()
    assert read_state_dict(folder)
