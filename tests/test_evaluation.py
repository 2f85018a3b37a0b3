"""Evaluations count what was said, give intervals, and name mistakes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from maskkit import evaluate, evaluate_photos
from maskkit._results import FaceResult, PhotoResult
from maskkit.datasets import AnnotatedPhoto
from maskkit.exceptions import ImageError, PluginError
from maskkit.testing import make_faces

CLASSES = ("with_mask", "without_mask")


class Scripted:
    """A classifier that says what it is told to."""

    def __init__(self, proba, classes=CLASSES):
        self.proba = np.asarray(proba)
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return self.proba[: len(X)]


def one_hot(said, sure=0.9, n_classes=2):
    proba = np.full((len(said), n_classes), (1 - sure) / (n_classes - 1))
    proba[np.arange(len(said)), said] = sure
    return proba


TRUTHS = ["with_mask"] * 6 + ["without_mask"] * 4
SAID = [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]


@pytest.fixture(scope="module")
def evaluation():
    proba = one_hot(SAID)
    proba[5] = [0.3, 0.7]
    return evaluate(Scripted(proba), make_faces(10)[0], TRUTHS)


def test_confusion_and_shares(evaluation):
    assert evaluation.confusion.tolist() == [[5, 1], [1, 3]]
    metrics = evaluation.metrics()
    assert metrics["accuracy"].value == pytest.approx(0.8)
    assert metrics["recall/with_mask"].value == pytest.approx(5 / 6)
    assert metrics["precision/without_mask"].value == pytest.approx(3 / 4)
    assert metrics["precision/without_mask"].n == 4
    assert metrics["f1"].value == pytest.approx((5 / 6 + 3 / 4) / 2)
    assert metrics["recall"].value == pytest.approx((5 / 6 + 3 / 4) / 2)


def test_every_figure_lies_in_its_interval(evaluation):
    for name, estimate in evaluation.metrics().items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert 0 <= estimate.low < estimate.high <= 1, name


def test_mistakes_are_named_the_surest_first(evaluation):
    assert [(mistake.truth, mistake.label) for mistake in evaluation.mistakes] == [
        ("without_mask", "with_mask"),
        ("with_mask", "without_mask"),
    ]
    assert evaluation.mistakes[0].name.startswith("image 9 (array")
    assert evaluation.mistakes[0].probability == pytest.approx(0.9)
    np.testing.assert_array_equal(evaluation.mistakes[0].image(), make_faces(10)[0][9])


def test_auc_is_that_of_the_probabilities(evaluation):
    from sklearn.metrics import roc_auc_score

    proba = one_hot(SAID)
    proba[5] = [0.3, 0.7]
    expected = roc_auc_score(np.array(TRUTHS) == "without_mask", proba[:, 1])
    assert evaluation.metrics()["auc"].value == pytest.approx(expected)
    assert set(evaluation.roc) == set(CLASSES)


def test_three_classes_have_means_over_classes():
    truths = [0, 0, 1, 1, 2, 2]
    proba = one_hot([0, 0, 1, 2, 2, 2], n_classes=3)
    result = evaluate(Scripted(proba, ("a", "b", "c")), make_faces(6)[0], np.array(["a", "b", "c"])[truths])
    assert result.metrics()["recall"].value == pytest.approx((1 + 0.5 + 1) / 3)
    assert result.confusion[1].tolist() == [0, 1, 1]
    assert 0.5 < result.metrics()["auc"].value <= 1


def test_spelling_of_labels_does_not_matter():
    truths = ["WithMask"] * 6 + ["Without Mask"] * 4
    assert evaluate(Scripted(one_hot(SAID)), make_faces(10)[0], truths).metrics()["accuracy"].value == pytest.approx(
        0.8
    )


def test_equal_spelling_wins_and_doubt_is_an_error():
    model = Scripted(one_hot([0, 1]), ("Mask", "mask"))
    assert evaluate(model, make_faces(2)[0], ["Mask", "mask"]).metrics()["accuracy"].value == 1
    with pytest.raises(ValueError, match="label 'MASK' may mean 'Mask' or 'mask'; rename one"):
        evaluate(model, make_faces(2)[0], ["MASK", "mask"])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (
            make_faces(2)[0],
            ["with_mask", "beard"],
            "y holds 'beard', which the classifier does not know; it knows 'with_mask'",
        ),
        (make_faces(2)[0], ["with_mask"], "inconsistent numbers of samples"),
        ([], [], "X is empty"),
    ],
)
def test_wrong_input_is_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Scripted(one_hot(SAID)), X, y)


def test_one_class_alone_can_be_evaluated():
    result = evaluate(Scripted(one_hot([0, 0, 1])), make_faces(3)[0], ["with_mask"] * 3)
    assert result.metrics()["accuracy"].value == pytest.approx(2 / 3)
    assert np.isnan(result.metrics()["auc"].value)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["metrics"]["auc"]["value"] is None


def test_a_hundred_thousand_faces_are_no_burden():
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 2, 100_000)
    scores = np.clip(rng.normal(0.3 + 0.4 * truths, 0.2), 0, 1)
    image = make_faces(1)[0][0]
    model = Scripted(np.column_stack([1 - scores, scores]))
    result = evaluate(model, [image] * 100_000, np.array(CLASSES)[truths], n_resamples=50)
    width = result.metrics()["auc"].high - result.metrics()["auc"].low
    assert 0 < width < 0.01


def render(thing):
    console = Console(width=80, record=True, file=open_sink())
    console.print(thing)
    return console.export_text()


def open_sink():
    import io

    return io.StringIO()


def test_tables_fit_80_columns_and_html_is_escaped(evaluation):
    text = render(evaluation)
    assert max(map(len, text.splitlines())) <= 80
    assert "0.800 [0.490, 0.943]" in text
    assert "<table" in evaluation._repr_html_()


def test_reporters_are_taken_by_name_or_instance_one_or_several(tmp_path, capsys):
    seen = []
    keeper = SimpleNamespace(report=seen.append)
    model, faces = Scripted(one_hot(SAID)), make_faces(10)[0]
    evaluate(model, faces, TRUTHS, reporters=keeper)
    evaluate(model, faces, TRUTHS, reporters="console")
    evaluate(model, faces, TRUTHS, reporters=[keeper, f"json:{tmp_path / 'r.json'}"])
    assert len(seen) == 2
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "r.json").is_file()
    with pytest.raises(PluginError, match="reporter 'fax' is unknown; installed: console, json"):
        evaluate(model, faces, TRUTHS, reporters=[keeper, "fax"])
    assert len(seen) == 2


# Photos


def face(box, label, probability=0.9, score=0.9):
    other = CLASSES[1 - CLASSES.index(label)]
    return FaceResult(box, score, label, probability, {label: probability, other: 1 - probability})


class Finder:
    """A classifier that finds, in photo number n, the n-th list of faces."""

    classes_ = np.array(CLASSES)

    def __init__(self, *found, errors=None):
        self.found = found
        self.errors = errors or {}

    def predict_photos(self, photos):
        for index, photo in enumerate(photos):
            yield PhotoResult(
                tuple(self.found[index]), photo, str(photo), (100, 100), "m", "d", error=self.errors.get(index)
            )


def annotated(*faces):
    boxes = np.array([box for box, _ in faces], dtype=np.float32).reshape(-1, 4)
    return AnnotatedPhoto(path="photo.jpg", boxes_xyxy=boxes, labels=np.array([label for _, label in faces], dtype=str))


A, B, C = (0, 0, 10, 10), (20, 0, 50, 30), (0, 30, 70, 100)


@pytest.fixture(scope="module")
def photo_evaluation():
    photos = [
        annotated((A, "with_mask"), (B, "without_mask"), (C, "mask_weared_incorrect")),
        annotated((A, "with_mask"), (C, "with_mask")),
        annotated(),
    ]
    model = Finder(
        [face(A, "with_mask"), face(B, "with_mask", 0.6), face(C, "with_mask")],  # right, wrong, unknown class
        [face(C, "with_mask", score=0.5)],  # A missed
        [face(B, "without_mask", score=0.4)],  # nobody there
    )
    return evaluate_photos(model, photos, n_resamples=200)


def test_photos_are_counted_by_hand(photo_evaluation):
    metrics = photo_evaluation.metrics()
    assert (photo_evaluation.n_photos, photo_evaluation.n_faces, photo_evaluation.n_unknown) == (3, 5, 1)
    assert metrics["found"].value == pytest.approx(4 / 5)
    assert metrics["detection_precision"].value == pytest.approx(4 / 5)
    assert metrics["found_and_right"].value == pytest.approx(2 / 4)
    assert metrics["right_if_found"].value == pytest.approx(2 / 3)
    assert metrics["found_and_right/with_mask"].value == pytest.approx(2 / 3)
    assert metrics["found_and_right/without_mask"].value == 0
    assert photo_evaluation.confusion.tolist() == [[2, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_photo_figures_over_classes(photo_evaluation):
    metrics = photo_evaluation.metrics()
    # with_mask: 2 right, 1 missed, 1 wrongly said; without_mask: none right.
    assert metrics["f1"].value == pytest.approx((2 * 2 / (2 * 2 + 1 + 1) + 0) / 2)
    assert metrics["balanced_accuracy"].value == pytest.approx((1 + 0) / 2)
    # with_mask, by score times probability: right 0.81, wrong 0.54, right 0.45; three to find.
    assert metrics["ap50/with_mask"].value == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert metrics["ap50/without_mask"].value == 0
    assert metrics["map50"].value == pytest.approx((1 / 3 + 2 / 9) / 2)
    # Any class: three right at 0.9, one at 0.5, one wrong at 0.4; five to find.
    assert metrics["detection_ap50"].value == pytest.approx(4 / 5)


def test_photo_figures_by_size(photo_evaluation):
    metrics = photo_evaluation.metrics()
    assert [metrics[f"found/{size}"].n for size in ("<16 px", "16-32 px", "32-64 px", "64+ px")] == [2, 1, 0, 2]
    assert metrics["found/<16 px"].value == pytest.approx(1 / 2)
    assert metrics["found_and_right/64+ px"].value == 1
    assert metrics["found_and_right/64+ px"].n == 1
    assert np.isnan(metrics["found/32-64 px"].value)


def test_loose_boxes_count_as_found_and_looser_ones_do_not():
    shifted = (0, 0, 10, 16)  # IoU 10 / 16
    far = (0, 0, 10, 26)  # IoU 10 / 26
    for box, found in ((shifted, 1), (far, 0)):
        result = evaluate_photos(Finder([face(box, "with_mask")]), [annotated((A, "with_mask"))], n_resamples=10)
        assert result.metrics()["found"].value == found


def test_perfect_photos_have_perfect_figures():
    photos = [annotated((A, "with_mask"), (B, "without_mask"))] * 4
    result = evaluate_photos(Finder(*[[face(A, "with_mask"), face(B, "without_mask")]] * 4), photos, n_resamples=50)
    for name in ("found", "found_and_right", "map50", "f1", "balanced_accuracy", "detection_ap50"):
        assert result.metrics()[name].value == 1, name


def test_nothing_found_is_zero_not_an_error():
    result = evaluate_photos(Finder([]), [annotated((A, "with_mask"))], n_resamples=10)
    assert result.metrics()["found"].value == 0
    assert result.metrics()["map50"].value == 0
    assert np.isnan(result.metrics()["right_if_found"].value)
    json.dumps(result.to_dict(), allow_nan=False)


def test_unreadable_photo_and_unknown_classes_are_errors():
    with pytest.raises(ImageError, match=r"photo\.jpg: no such file"):
        evaluate_photos(Finder([], errors={0: "photo.jpg: no such file"}), [annotated((A, "with_mask"))])
    with pytest.raises(ValueError, match="no face of a class that the classifier knows"):
        evaluate_photos(Finder([]), [annotated((A, "hat"))])


def test_photo_tables_fit_80_columns(photo_evaluation):
    text = render(photo_evaluation)
    assert max(map(len, text.splitlines())) <= 80
    assert "found and right" in text
    assert "1 faces of other classes" in text
