"""maskkit calibrate."""

import json

import numpy as np
import pytest

from maskkit import MaskClassifier
from tests.cli.conftest import run, write_faces


def calibrate(capsys, model, data, out, *arguments):
    code, said, err = run(capsys, "calibrate", data, "--model", model, "--out", out, *arguments)
    assert code == 0, err
    return said


def test_it_fits_one_half_and_measures_the_other(capsys, model, data, tmp_path):
    said = calibrate(capsys, model, data, tmp_path / "new", "--split", "validation", "--format", "json")
    found = json.loads(said)
    assert (found["n_fitted"], found["n_measured"]) == (6, 6)
    assert found["before"]["accuracy"] == found["after"]["accuracy"]
    assert found["before"]["ece"]["n"] == 6
    assert found["after"]["threshold"] == 0
    before, after = MaskClassifier.load(model), MaskClassifier.load(tmp_path / "new")
    paths = sorted(data.rglob("*.png"))
    logits = [np.diff(np.log(each.predict_proba(paths)), axis=1) for each in (before, after)]
    # One temperature divides the difference of the logits of every face.
    np.testing.assert_allclose(logits[0] / logits[1], (logits[0] / logits[1]).mean(), rtol=0.05)
    assert not np.allclose(*logits)
    card = (tmp_path / "new" / "README.md").read_text()
    assert f"### {data.name}, the half that was not used for calibration\n\n**6 faces**" in card


def test_the_threshold_is_chosen_on_request(capsys, model, data, tmp_path):
    arguments = ("--split", "train", "--uncertain-cost", "0", "--format", "json")
    found = json.loads(calibrate(capsys, model, data, tmp_path / "new", *arguments))
    assert MaskClassifier.load(tmp_path / "new").threshold == found["after"]["threshold"]
    assert found["after"]["decided"]["n"] == 6


def test_the_table_fits_80_columns(capsys, model, data, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = calibrate(capsys, model, data, tmp_path / "new", "--split", "train")
    assert max(map(len, said.splitlines())) <= 80
    assert "Fitted on 6 faces, measured on 6 others" in said
    rows = calibrate(capsys, model, data, tmp_path / "csv", "--split", "train", "--format", "csv").splitlines()
    assert rows[0] == "model,metric,value,low,high,n"
    assert rows[1] == "before,threshold,0.0,,,"
    assert len(rows) == 1 + 2 * 7


def test_the_old_model_is_kept_unless_it_may_be_replaced(capsys, model, data, tmp_path):
    copy = MaskClassifier.load(model).save(tmp_path / "copy")
    before = (copy / "model.safetensors").read_bytes()
    arguments = ("calibrate", data, "--split", "train", "--model", copy, "--out", copy)
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "already exists; choose another name or add --overwrite" in err
    assert (copy / "model.safetensors").read_bytes() == before
    assert run(capsys, *arguments, "--overwrite")[0] == 0
    assert (copy / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--precision", "0.9", "--uncertain-cost", "0.1"), 2, "give either this or --precision"),
        ((), 2, "choose one of them"),
    ],
)
def test_mistakes_are_told(capsys, model, data, tmp_path, arguments, code, message):
    ended, _, err = run(capsys, "calibrate", data, "--model", model, "--out", tmp_path / "new", *arguments)
    assert ended == code
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_single_face_of_a_class_cannot_be_divided(capsys, model, tmp_path):
    faces = write_faces(tmp_path / "faces", 2)
    code, _, err = run(capsys, "calibrate", faces, "--model", model, "--out", tmp_path / "new")
    assert code == 1
    assert "cannot be divided" in err
    assert "two faces per class" in err
