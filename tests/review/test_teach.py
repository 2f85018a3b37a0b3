"""Training on the answers: what is missing, what is held out, and the figures."""

import warnings
from collections import Counter

import numpy as np
import pytest

from maskkit import MaskClassifier
from maskkit.review import FaceKey, LabelFile, Teacher
from tests.cli.conftest import run
from tests.review.conftest import draw_crops


@pytest.fixture
def answered(tmp_path):
    """A file of 60 answered crops and one that is not a face."""
    paths, labels = draw_crops(tmp_path / "crops", 61)
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    answers = dict(zip(map(FaceKey, paths), [*labels[:-1], "not a face"], strict=True))
    file.write(answers, {path: path.name for path in paths})
    return file


def finish(teacher):
    """Train in this thread, so that no test waits."""
    teacher._state = {"state": "running"}
    teacher._run()
    return teacher.status()


def test_a_copy_is_trained_and_measured_on_faces_that_stay_held_out(answered, savable):
    teacher = Teacher(savable, answered)
    before = savable.predict_proba(answered.path.parent.glob("crops/*.png"))
    status = finish(teacher)
    assert status["state"] == "done", status
    n_trained, n_held_out = status["trained"].total(), status["held_out"].total()
    assert (n_trained + n_held_out, status["n_faces"], status["n_photos"]) == (60, n_held_out, None)
    assert [row["name"] for row in status["figures"]] == [
        "accuracy",
        "recall, mean over classes",
        "recall of with_mask",
        "recall of without_mask",
    ]
    for row in status["figures"]:
        for figure in (row["before"], row["after"]):
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert status["figures"][0]["after"]["n"] == n_held_out
    new = MaskClassifier.load(status["folder"])
    assert status["folder"] == str(answered.path.with_name("labels-model"))
    assert new.class_counts_.sum() == n_trained
    assert new.base_["name"] == savable.model_name_
    np.testing.assert_array_equal(savable.predict_proba(answered.path.parent.glob("crops/*.png")), before)
    # A second training goes on from the same model, and replaces nothing.
    assert finish(teacher)["folder"] == str(answered.path.with_name("labels-model-2"))


def test_the_answers_are_read_without_a_change_of_the_filters_of_warnings(answered, savable, monkeypatch):
    """The filters are those of the whole process, in which other threads serve the page."""

    def evaluate(*_):
        raise RuntimeError("the answers are read")

    monkeypatch.setattr("maskkit.review._teach.evaluate", evaluate)
    monkeypatch.setattr(warnings, "catch_warnings", lambda **_: pytest.fail("the filters are changed"))
    assert finish(Teacher(savable, answered))["error"] == "the answers are read"


def test_a_class_that_the_model_lacks_is_learned(tmp_path, savable):
    paths, labels = draw_crops(tmp_path / "crops", 90, classes=("with_mask", "without_mask", "mask_worn_incorrectly"))
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    file.write(dict(zip(map(FaceKey, paths), labels, strict=True)), {path: path.name for path in paths})
    status = finish(Teacher(savable, file))
    assert status["state"] == "done", status
    figures = {row["name"]: row for row in status["figures"]}
    assert figures["recall of mask_worn_incorrectly"]["before"] is None
    # All lists are in the order of the buttons of the page.
    in_order = ["with_mask", "without_mask", "mask_worn_incorrectly"]
    assert list(status["trained"]) == list(status["held_out"]) == in_order
    assert list(figures)[2:] == [f"recall of {label}" for label in in_order]
    assert figures["recall of mask_worn_incorrectly"]["after"]["n"] == status["held_out"]["mask_worn_incorrectly"]
    assert status["note"].startswith("Left out, because the model has no such class: ")


def test_what_is_missing_is_said_and_nothing_starts(tmp_path, savable):
    paths, _ = draw_crops(tmp_path / "crops", 8)
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    teacher = Teacher(savable, file)
    assert teacher.status()["missing"] == [
        "The faces to train on are of 0 classes; want two classes or more.",
        "0 faces held out; want 10 or more. About one in four is.",
    ]
    file.write({FaceKey(path): "with_mask" for path in paths[:3]}, dict.fromkeys(paths, "0.png"))
    (split,) = {name for name, count in file.count().items() if count}
    assert (
        f"with_mask: {3 if split == 'train' else 0} faces to train on; want 5 or more." in teacher.status()["missing"]
    )
    assert not teacher.start()
    assert teacher.status()["state"] == "idle"


def test_what_is_missing_is_in_the_order_of_the_buttons_and_of_one_face(tmp_path, savable, monkeypatch):
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    trained = Counter(mask_worn_incorrectly=1, without_mask=2, with_mask=3)
    monkeypatch.setattr(file, "count", lambda: {"train": trained, "validation": Counter(with_mask=1)})
    assert Teacher(savable, file).status()["missing"] == [
        "with_mask: 3 faces to train on; want 5 or more.",
        "without_mask: 2 faces to train on; want 5 or more.",
        "mask_worn_incorrectly: 1 face to train on; want 5 or more.",
        "1 face held out; want 10 or more. About one in four is.",
    ]
    monkeypatch.setattr(file, "count", lambda: {"train": Counter(with_mask=9), "validation": Counter(with_mask=10)})
    told = Teacher(savable, file).status()["missing"]
    assert told == ["The faces to train on are of 1 class; want two classes or more."]


def test_a_failure_is_shown_and_nothing_is_saved(answered, savable, tmp_path):
    next(tmp_path.glob("crops/*.png")).unlink()
    status = finish(Teacher(savable, answered))
    assert status["state"] == "failed"
    assert "no such file" in status["error"]
    assert not list(tmp_path.glob("labels-model*"))


def test_a_training_that_is_stopped_saves_nothing(answered, savable, tmp_path):
    teacher = Teacher(savable, answered)
    teacher.stop()
    assert finish(teacher)["state"] == "idle"
    assert not list(tmp_path.glob("labels-model*"))


def test_the_figures_of_photos_are_over_photos(tmp_path, savable):
    paths, labels = draw_crops(tmp_path / "photos", 60)
    file = LabelFile(tmp_path / "labels.csv", has_boxes=True)
    boxes = [(4.0, 2.0, 60.0, 62.0), (8.0, 4.0, 56.0, 60.0)]
    answers = {FaceKey(path, box): label for path, label in zip(paths, labels, strict=True) for box in boxes}
    file.write(answers, {path: path.name for path in paths})
    status = finish(Teacher(savable, file, out=tmp_path / "own"))
    assert status["state"] == "done", status
    assert status["n_photos"] * 2 == status["n_faces"] == status["held_out"].total()
    assert MaskClassifier.load(tmp_path / "own").class_counts_.sum() == status["trained"].total()


@pytest.mark.filterwarnings("default:.* rows are left out")
def test_commands_train_and_evaluate_the_same_file(answered, savable, tmp_path, capsys):
    model = savable.save(tmp_path / "model")
    counts = answered.count()
    options = ("--from", model, "--frozen", "--quiet", "--out", tmp_path / "new")
    code, out, err = run(capsys, "train", answered.path, *options)
    assert code == 0, err
    assert "1 of 61 rows are left out: 1 not a face." in err
    trained = Counter({part.split()[1]: int(part.split()[0]) for part in out.split("trained on ")[1].split(", ")})
    assert trained == counts["train"]
    code, out, err = run(capsys, "evaluate", answered.path, "--split", "validation", "--model", tmp_path / "new")
    assert code == 0, err
    assert f"{counts['validation'].total()} faces" in out
