"""maskkit train --from."""

import json
import tomllib

import pytest

from maskkit import MaskClassifier
from tests.cli.conftest import QUICK, run, write_faces

SHORT = ("--frozen", "--epochs", 1, "--quiet")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "own"


def test_a_model_keeps_what_no_option_asks_to_change(capsys, data, tmp_path, out):
    base = tmp_path / "base"
    assert run(capsys, "train", data, "--out", base, "--epochs", 1, "--no-find-face", *QUICK)[0] == 0
    code, _, err = run(capsys, "train", data, "--from", base, "--out", out, *SHORT)
    assert code == 0, err
    own = MaskClassifier.load(out)
    assert (own.backbone, own.detector, own.find_face) == ("timm:test_resnet", "whole", False)
    assert own.embedder_.preprocess_.image_size == 48
    assert own.base_["name"] == "base"
    # The path of the base is in the options of the command only, and the options that it decided are not there.
    assert json.loads((out / "maskkit.json").read_text())["params"]["weights"] == "base"
    options = tomllib.loads((out / "train.toml").read_text())
    assert options["from"] == str(base)
    assert not {"backbone", "weights", "image-size", "no-find-face", "detector"} & set(options)
    code, _, err = run(capsys, "train", "--config", out / "train.toml", "--out", tmp_path / "again", "--quiet")
    assert code == 0, err
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    # The file of a model names its network, and --from wins over it.
    arguments = ("train", "--config", base / "train.toml", "--from", base, "--out", tmp_path / "further", "--quiet")
    assert run(capsys, *arguments)[0] == 0
    assert MaskClassifier.load(tmp_path / "further").base_["name"] == "base"
    # A default that is asked for is asked for.
    other = tmp_path / "other"
    assert run(capsys, "train", data, "--from", base, "--detector", "maskkit", "--out", other, *SHORT)[0] == 0
    assert MaskClassifier.load(other).detector == "maskkit"


@pytest.mark.parametrize("option", ["--backbone=resnet50", "--weights=imagenet"])
def test_another_network_is_refused(capsys, data, model, out, option):
    code, _, err = run(capsys, "train", data, "--from", model, option, "--out", out)
    assert code == 2
    assert "the model of --from has its own; leave out one of both" in " ".join(err.split())


def test_other_classes_are_told_with_options_that_work(capsys, model, tmp_path, out):
    data = write_faces(tmp_path / "helmets", 8, classes=("helmet", "none"))
    code, _, err = run(capsys, "train", data, "--from", model, "--out", out, *SHORT)
    assert code == 1
    way_out = f"--backbone timm:test_resnet, --weights {model / 'model.safetensors'}"
    assert way_out in " ".join(err.split())
    options = way_out.replace(",", "").split()
    code, _, err = run(capsys, "train", data, *options, "--out", out, *SHORT)
    assert code == 0, err


def test_a_model_as_weights_is_checked_as_a_model(capsys, data, model, out):
    code, _, err = run(capsys, "train", data, "--weights", model, "--out", out)
    assert code == 1
    assert "has the backbone 'timm:test_resnet', and backbone is 'resnet50'; pass --backbone timm:test_resnet" in err
