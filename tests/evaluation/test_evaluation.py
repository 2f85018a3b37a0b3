"""Evaluations count what was said, give intervals, and name mistakes."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

from maskkit import MaskClassifier, evaluate
from maskkit.exceptions import PluginError
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
        assert 0 <= estimate.low <= estimate.high <= 1, name
    for name in ("accuracy", "recall", "precision", "f1", "auc", "ece", "brier", "aurc", "recall/with_mask"):
        assert evaluation.metrics()[name].low < evaluation.metrics()[name].high, name


def test_mistakes_are_named_the_surest_first(evaluation):
    assert [(mistake.true_label, mistake.predicted_label) for mistake in evaluation.mistakes] == [
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


def test_known_words_for_the_same_meet():
    truths = ["Masked"] * 6 + ["no mask"] * 4
    assert evaluate(Scripted(one_hot(SAID)), make_faces(10)[0], truths).metrics()["accuracy"].value == pytest.approx(
        0.8
    )


def test_equal_spelling_wins_and_doubt_is_an_error():
    model = Scripted(one_hot([0, 1]), ("Mask", "mask"))
    assert evaluate(model, make_faces(2)[0], ["Mask", "mask"]).metrics()["accuracy"].value == 1
    with pytest.raises(ValueError, match="label 'MASK' matches 'Mask' and 'mask'; rename one"):
        evaluate(model, make_faces(2)[0], ["MASK", "mask"])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (
            make_faces(2)[0],
            ["with_mask", "beard"],
            "y holds 'beard', which is not a class of the classifier; its classes are 'with_mask'",
        ),
        (make_faces(2)[0], ["with_mask"], "inconsistent numbers of samples"),
        (make_faces(2)[0], None, "X is a list without y; want"),
        (make_faces(2)[0], [["with_mask", "with_mask"]], "y should be a 1d array"),
        ([], [], "X is empty"),
    ],
)
def test_wrong_input_is_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Scripted(one_hot(SAID)), X, y)


def test_unfitted_classifier_is_named():
    with pytest.raises(NotFittedError, match="MaskClassifier has no classes_; want a fitted classifier"):
        evaluate(MaskClassifier(), *make_faces(2))


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[1.0, 0.0, 0.0]] * 2, r"returned shape \(2, 3\); want \(2, 2\)"),
        ([[1.0, 0.0]], r"returned shape \(1, 2\); want \(2, 2\)"),
        ([[1.0, 0.0], [np.nan, 0.5]], r"returned \[nan, 0\.5\] for image 1; want finite"),
    ],
)
def test_nonsense_probabilities_are_refused(proba, message):
    with pytest.raises(ValueError, match=f"predict_proba {message}"):
        evaluate(Scripted(proba), *make_faces(2))


def test_an_interval_needs_resamples():
    with pytest.raises(ValueError, match="n_resamples == 0, must be >= 1"):
        evaluate(Scripted(one_hot([0, 1])), *make_faces(2), n_resamples=0)


def test_bootstrapped_intervals_hold_the_truth_about_95_times_in_100():
    # Scores of the classes are normal and one standard deviation apart, and 0.5 lies half way.
    rng = np.random.default_rng(0)
    image = make_faces(1)[0][0]
    truth = {"auc": norm.cdf(np.sqrt(0.5)), "f1": norm.cdf(0.5), "recall": norm.cdf(0.5)}
    held = []
    for _ in range(200):
        labels = rng.integers(0, 2, 150)
        second = norm.cdf(rng.normal(labels - 0.5))
        model = Scripted(np.column_stack([1 - second, second]))
        metrics = evaluate(model, [image] * 150, np.array(CLASSES)[labels], n_resamples=200).metrics()
        held.append([metrics[name].low <= value <= metrics[name].high for name, value in truth.items()])
    assert (np.mean(held, axis=0) > 0.9).all()
    assert (np.mean(held, axis=0) < 0.99).all()


def test_one_class_alone_can_be_evaluated():
    result = evaluate(Scripted(one_hot([0, 0, 1])), make_faces(3)[0], ["with_mask"] * 3)
    assert result.metrics()["accuracy"].value == pytest.approx(2 / 3)
    assert np.isnan(result.metrics()["auc"].value)
    assert set(result.figures()) == {"confusion_matrix", "reliability", "risk_coverage", "slices", "worst_mistakes"}
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
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(thing)
    return console.export_text()


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
    with pytest.raises(PluginError, match="reporter 'fax' is unknown; installed: console, html, json"):
        evaluate(model, faces, TRUTHS, reporters=[keeper, "fax"])
    assert len(seen) == 2
