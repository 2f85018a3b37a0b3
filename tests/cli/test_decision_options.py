"""Options of predict and its relatives about decisions: --threshold, --min-size, --crops and --max-faces."""

import csv
import io
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from maskkit import MaskClassifier
from tests.cli.conftest import run


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """A photo of two faces, the left one larger."""
    picture = skimage.data.astronaut()
    small = np.asarray(Image.fromarray(picture).resize((300, 300)))
    path = tmp_path_factory.mktemp("photos") / "two.png"
    Image.fromarray(np.hstack([picture, np.pad(small, ((0, 212), (0, 0), (0, 0)), mode="edge")])).save(path)
    return path


def read(capsys, *arguments):
    code, out, err = run(capsys, "predict", *arguments, "--format", "json")
    assert code == 0, err
    return json.loads(out)


def test_threshold_and_minimum_size_replace_those_of_the_model(capsys, model, data):
    path = next(data.rglob("*.png"))
    (photo,) = read(capsys, path, "--model", model)
    assert photo["faces"][0]["reasons"] == []
    (photo,) = read(capsys, path, "--model", model, "--threshold", "1", "--min-size", "1000")
    assert photo["faces"][0]["reasons"] == ["too_small", "low_probability"]
    assert photo["faces"][0]["decision"] == "uncertain"


def test_crops_are_one_face_each_and_classified_as_by_predict(capsys, model, data, tmp_path):
    paths = sorted(data.rglob("Validation/**/*.png"))
    code, out, _ = run(capsys, "predict", data / "Validation", "--crops", "--model", model, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["source"] for row in rows] == list(map(str, paths))
    loaded = MaskClassifier.load(model)
    wanted = loaded.predict_proba(paths).max(axis=1)
    assert [float(row["probability"]) for row in rows] == pytest.approx(wanted, abs=0.01)
    assert [row["label"] for row in rows] == loaded.predict(paths).tolist()
    photo = next(loaded.predict_photos(paths[:1], crops=True))
    assert (photo[0].box, photo.detector) == ((0, 0, *photo.size), "whole")


@pytest.mark.parametrize("command", ["predict", "predict-batch", "explain"])
def test_crops_need_no_detector(capsys, command, tmp_path):
    arguments = ("x.png", "--crops", "--detector", "yunet", "--out", tmp_path / "out")
    code, _, err = run(capsys, command, *arguments)
    assert code == 2
    assert "Invalid value for --detector: no face is detected in crops of one face each" in err
    if command != "explain":
        assert "--max-faces" in run(capsys, command, *arguments[:2], *arguments[4:], "--max-faces", 2)[2]


def test_only_the_largest_faces_are_classified_and_the_others_are_named(capsys, portraits, tmp_path):
    (everything,) = read(capsys, portraits)
    (photo,) = read(capsys, portraits, "--max-faces", "1")
    assert len(everything["faces"]) == 2
    assert [face["box"] for face in photo["faces"]] == [everything["faces"][0]["box"]]
    assert photo["left_out"] == [everything["faces"][1]["box"]]
    assert photo["notes"] == ["1 smaller face left out by max_faces=1"]
    assert everything["left_out"] == everything["notes"] == []
    shown = run(capsys, "predict", portraits, "--max-faces", "1")[1]
    assert "1 smaller face left out by max_faces=1" in shown


def test_faces_that_are_left_out_are_blurred(portraits):
    model = MaskClassifier.from_pretrained()
    photo = model.predict_faces(portraits, max_faces=1)
    left, top, right, bottom = photo.left_out[0]
    part = np.s_[top:bottom, left:right]
    sharp, blurred = (np.asarray(photo.draw(blur=blur))[part].astype(int) for blur in (False, True))
    assert np.abs(sharp - blurred).mean() > 3


@pytest.mark.parametrize("command", ["predict", "predict-batch", "serve", "watch"])
def test_a_threshold_is_a_probability(capsys, command):
    code, _, err = run(capsys, command, "x", "--threshold", "1.5", *(["--out", "y"] * (command != "serve")))
    assert code == 2
    assert "--threshold" in err
