"""Comparisons show several data sets side by side, what is lost first."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.utils import Bunch

from maskkit import evaluate
from maskkit.datasets import AnnotatedPhoto
from maskkit.reporters import ConsoleReporter, JsonReporter, PlotsReporter
from maskkit.testing import make_faces
from tests.evaluation.test_evaluation import CLASSES, Scripted, one_hot, render


class Pixel:
    """A classifier that reads its answer from the first pixel: 10 times the class, plus 1 where it errs."""

    def __init__(self, classes=CLASSES):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        codes = [int(np.asarray(image)[0, 0, 0]) for image in X]
        said = [(code // 10 + code % 10) % len(self.classes_) for code in codes]
        return one_hot(said, n_classes=len(self.classes_))


def code(truth, is_wrong=False):
    return np.full((20, 20, 3), 10 * truth + is_wrong, np.uint8)


def faces(n_right, n_wrong, classes=CLASSES):
    """So many of each class."""
    truths = [truth for truth in range(len(classes)) for _ in range(n_right + n_wrong)]
    images = [code(truth, place % (n_right + n_wrong) >= n_right) for place, truth in enumerate(truths)]
    return images, np.array(classes)[truths]


def photo(path, *faces):
    """A photo of squares of 20 px in a row, and a label for each."""
    Image.fromarray(np.concatenate([np.pad(image, ((5, 5), (5, 5), (0, 0)), "edge") for image, _ in faces], 1)).save(
        path
    )
    boxes = [[30 * place + 5, 5, 30 * place + 25, 25] for place in range(len(faces))]
    return AnnotatedPhoto(path, np.float32(boxes), np.array([label for _, label in faces]))


@pytest.fixture(scope="module")
def comparison():
    sets = {"own": faces(100, 0), "near": faces(95, 5), "far/away": faces(70, 30)}
    return evaluate(Pixel(), sets, n_resamples=50)


def test_drops_come_first_the_worst_ahead(comparison):
    assert comparison.reference == "own"
    assert list(comparison.drops()) == ["far/away", "near"]
    names = list(comparison.metrics())
    assert names[:4] == ["recall_drop", "accuracy_drop", "recall_drop/far/away", "accuracy_drop/far/away"]
    assert comparison.metrics()["recall_drop"].value == pytest.approx(0.3)
    assert comparison.metrics()["accuracy_drop/near"].value == pytest.approx(0.05)
    assert comparison.tables()[0].rows[0][:2] == ("far/away", 200)
    assert comparison.metrics()["near/accuracy"] == comparison["near"].metrics()["accuracy"]


def test_interval_of_a_drop_holds_no_more_than_it_should(comparison):
    drop = comparison.metrics()["accuracy_drop/far/away"]
    assert 0.2 < drop.low < drop.value < drop.high < 0.4
    assert comparison.metrics()["accuracy_drop/near"].low > 0


def test_order_of_data_sets_is_kept_and_the_table_fits(comparison):
    assert comparison.tables()[1].columns == ("metric", "own", "near", "far/away")
    text = render(comparison)
    assert text.index("Drops from own") < text.index("Side by side") < text.index("By slice: own")
    assert max(map(len, text.splitlines())) <= 80


def test_reporters_take_a_comparison(comparison, tmp_path, capsys):
    ConsoleReporter().report(comparison)
    out = capsys.readouterr().out
    assert "Most confident mistakes" in out
    document = json.loads(JsonReporter(tmp_path / "r.json").report(comparison).read_text())
    assert (document["schema_version"], document["kind"]) == (1, "comparison")
    assert document["data_sets"]["near"]["schema_version"] == 1
    assert list(document["data_sets"]) == ["own", "near", "far/away"]
    assert document["data_sets"]["near"]["mistakes"][0]["file"].startswith("image 95 (array")
    folder = PlotsReporter(tmp_path / "p").report(comparison)
    written = {path.relative_to(folder).name for path in folder.rglob("*")}
    assert {"comparison.png", "1_own_reliability.png", "3_far_away_slices.png"} <= written
    assert all(path.is_file() for path in folder.iterdir())


def test_two_classes_do_not_guess_at_the_third():
    images, labels = faces(3, 0)
    third = [code(0)] * 4, ["mask_weared_incorrect"] * 4
    mixed = [*images, *third[0]], [*labels, *third[1]]
    result = evaluate(Pixel(), {"own": (images, labels), "mixed": mixed}, n_resamples=10)
    assert result["mixed"].n_faces == 6
    assert result["mixed"].left_out == {"mask_weared_incorrect": 4}
    assert result["mixed"].metrics()["accuracy"].value == 1
    assert "mixed: Left out, because the model has no such class: 4 mask_weared_incorrect." in " ".join(
        render(result).split()
    )
    with pytest.raises(ValueError, match="data set 'third': every face is labeled mask_weared_incorrect, for which"):
        evaluate(Pixel(), {"own": (images, labels), "third": third})


def test_three_classes_are_judged_by_all_three():
    classes = ("with_mask", "without_mask", "incorrect_mask")
    images, labels = faces(4, 1, classes)
    renamed = np.where(labels == "incorrect_mask", "mask_weared_incorrect", labels)
    result = evaluate(Pixel(classes), {"own": (images, labels), "renamed": (images, renamed)}, n_resamples=10)
    assert result["renamed"].left_out == {}
    assert result["renamed"].confusion.tolist() == result["own"].confusion.tolist() == [[4, 1, 0], [0, 4, 1], [1, 0, 4]]
    assert result.metrics()["renamed/recall/incorrect_mask"].value == pytest.approx(0.8)


def test_boxes_of_photos_are_cut_out_and_mistakes_named(tmp_path):
    photos = [
        photo(tmp_path / "first.png", (code(0), "with_mask"), (code(1, True), "without_mask")),
        photo(tmp_path / "second.png", (code(1), "without_mask")),
    ]
    result = evaluate(Pixel(), photos, n_resamples=20)
    assert (result.n_faces, result.n_photos) == (3, 2)
    (mistake,) = result.mistakes
    path = str(tmp_path / "first.png")
    assert (mistake.name, mistake.face, mistake.place) == (path, 1, f"{path} face 1")
    assert mistake.short_place == "first.png face 1"
    assert result.to_dict()["mistakes"][0]["face"] == 1
    assert result.metrics()["accuracy/size/16-32 px"].n == 3
    assert mistake.image().shape == (23, 23, 3)
    assert "first.png face 1" in render(result)


def test_faces_of_one_photo_do_not_count_as_independent(tmp_path):
    right, wrong = (code(0), "with_mask"), (code(0, True), "with_mask")
    photos = [photo(tmp_path / f"{place}.png", *[wrong if place < 4 else right] * 8) for place in range(12)]
    images = [code(0, place < 32) for place in range(96)]
    by_photo = evaluate(Pixel(), photos, n_resamples=300).metrics()
    by_face = evaluate(Pixel(), images, ["with_mask"] * 96, n_resamples=300).metrics()
    for name in ("accuracy", "recall", "brier"):
        widths = [metrics[name].high - metrics[name].low for metrics in (by_photo, by_face)]
        assert widths[0] > 2 * widths[1], name


def test_photos_all_right_have_an_interval_over_photos(tmp_path):
    photos = [photo(tmp_path / f"{place}.png", *[(code(0), "with_mask")] * 9) for place in range(4)]
    accuracy = evaluate(Pixel(), photos, n_resamples=10).metrics()["accuracy"]
    assert (accuracy.value, accuracy.n) == (1, 36)
    assert accuracy.low == pytest.approx(4 / (4 + 1.959964**2))


def test_data_sets_may_be_bunches():
    images, labels = faces(3, 1)
    half = Bunch(paths=images, labels=labels)
    whole = Bunch(splits={"train": half, "test": half}, skipped=[], train=half, test=half)
    assert evaluate(Pixel(), half, n_resamples=10).n_faces == 8
    assert list(evaluate(Pixel(), whole.splits, n_resamples=10).evaluations) == ["train", "test"]
    with pytest.raises(ValueError, match=r"splits 'train', 'test'; want one, X\[name\], or all of them, X.splits"):
        evaluate(Pixel(), whole)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        ({}, {}, "X is an empty dict; want name -> "),
        ({"own": faces(1, 0)}, {"y": [0]}, "X is a dict and y is given too"),
        (
            {"own": (faces(1, 0)[0], ["beard"] * 2)},
            {},
            "data set 'own': y holds 'beard', which is not a class of the classifier",
        ),
        ({"own": [code(0)]}, {}, "data set 'own': X is a list without y; want"),
        ({"own": []}, {}, "data set 'own': X is a list without y; want"),
        (
            {"own": faces(1, 0)},
            {"slices": {"camera": [1, 2]}},
            "slices for 'camera', which is not a data set",
        ),
        (
            {"own": faces(1, 0)},
            {"slices": {"own": {"camera": [1]}}},
            "data set 'own': slices.* has 1 values for 2 faces",
        ),
    ],
)
def test_wrong_data_sets_are_named(X, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Pixel(), X, **options)


def test_one_data_set_alone_has_no_drop():
    result = evaluate(Pixel(), {"own": faces(3, 1)}, n_resamples=10)
    assert result.drops() == {}
    assert result.tables()[0].title == "Side by side"
    assert "own/accuracy" in result.metrics()
    json.dumps(result.to_dict(), allow_nan=False)


def test_scripted_faces_agree_with_a_single_evaluation():
    images, labels = make_faces(10)
    model = Scripted(one_hot([0, 1] * 4 + [1, 1]))
    alone = evaluate(model, images, labels, n_resamples=20)
    assert evaluate(model, {"own": (images, labels)}, n_resamples=20)["own"].to_dict() == alone.to_dict()
