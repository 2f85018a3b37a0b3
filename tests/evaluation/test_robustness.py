"""Robustness reports judge the same faces, made worse by degrees."""

import json

import numpy as np
import pytest

from maskkit import evaluate_robustness
from maskkit.reporters import ConsoleReporter, JsonReporter, PlotsReporter
from maskkit.testing import make_faces
from tests.evaluation.test_comparison import photo
from tests.evaluation.test_evaluation import CLASSES, one_hot, render

FACE = make_faces(1)[0][0]


class Light:
    """A classifier that calls bright pictures masked."""

    classes_ = np.array(CLASSES)

    def __init__(self):
        self.n_judged = 0

    def predict_proba(self, X):
        self.n_judged += len(X)
        return one_hot([0 if np.mean(image) > 64 else 1 for image in X])


@pytest.fixture(scope="module")
def robustness():
    images = [np.full((40, 40, 3), grey, np.uint8) for grey in [200] * 30 + [10] * 10]
    return evaluate_robustness(Light(), images, ["with_mask"] * 30 + ["without_mask"] * 10, n_resamples=50)


class Recorder:
    """A classifier that keeps the images that it is given."""

    classes_ = np.array(CLASSES)

    def __init__(self):
        self.images = []

    def predict_proba(self, X):
        self.images += X
        return one_hot([0] * len(X))


def corrupt(image):
    """Return the corrupted copies of an image that the classifier is given, by corruption and level."""
    before, recorder = image.copy(), Recorder()
    result = evaluate_robustness(recorder, [image, image], CLASSES, n_resamples=10)
    np.testing.assert_array_equal(image, before)
    unchanged, *changed = recorder.images[::2]
    np.testing.assert_array_equal(unchanged, image)
    assert {copy.dtype for copy in changed} == {np.dtype(np.uint8)}
    assert len(changed) == sum(map(len, result.curves.values())) + len(result.occluders)
    copies = iter(changed)
    by_level = {name: {level: next(copies) for level in curve} for name, curve in result.curves.items()}
    return by_level | {"occluders": {kind: next(copies) for kind in result.occluders}}


@pytest.fixture(scope="module")
def corrupted():
    return corrupt(FACE)


def test_size_shrinks_the_longer_side_and_enlarges_nothing(corrupted):
    assert corrupted["size"][16].shape == (16, 16, 3)
    assert corrupt(FACE[:32])["size"][8].shape == (4, 8, 3)
    np.testing.assert_array_equal(corrupted["size"][96], FACE)


def test_blur_takes_detail_from_large_and_small_faces_alike(corrupted):
    def roughness(image):
        return np.abs(np.diff(image.astype(float), axis=1)).mean()

    steps = [roughness(image) for image in corrupted["blur"].values()]
    assert all(np.diff([roughness(FACE), *steps]) < 0)
    large = np.repeat(np.repeat(FACE, 4, axis=0), 4, axis=1)
    shrunk = corrupt(large)["blur"][8][2::4, 2::4].astype(int)
    assert np.abs(shrunk - corrupted["blur"][8]).mean() < 3


def test_jpeg_loses_more_the_lower_the_quality(corrupted):
    losses = [np.abs(image.astype(int) - FACE).mean() for image in corrupted["jpeg"].values()]
    assert 0 < losses[0] < losses[3] < losses[-1]


def test_a_stop_halves_the_light(corrupted):
    # sRGB 188 is half of the light of 255 (0.5029), to the nearest level.
    assert corrupt(np.full((4, 4, 3), 255, np.uint8))["darkness"][1][0, 0].tolist() == [188, 188, 188]
    means = [image.mean() for image in corrupted["darkness"].values()]
    assert all(np.diff([FACE.mean(), *means]) < 0)


def test_each_occluder_is_painted_at_the_same_place_of_a_face_each_time(corrupted):
    again = corrupt(FACE)["occluders"]
    assert list(again) == ["hand", "scarf", "beard", "paper", "helmet", "microphone", "shield"]
    for kind, image in corrupted["occluders"].items():
        assert (image != FACE).any(), kind
        np.testing.assert_array_equal(image, again[kind])


def test_recall_is_reported_by_occluder(robustness):
    metrics = robustness.metrics()
    assert metrics["recall/with_mask/occluder/hand"].n == 30
    assert metrics["recall/without_mask/occluder/shield"].n == 10
    # A beard over a mask would hide it.
    assert (metrics["recall/with_mask/occluder/beard"].n, metrics["accuracy/occluder/beard"].n) == (0, 10)
    assert "occluder" in render(robustness)


def test_only_what_breaks_the_classifier_costs_accuracy(robustness):
    metrics = robustness.metrics()
    assert metrics["accuracy"].value == 1
    for name in ("size", "blur", "jpeg"):
        assert all(metrics[f"accuracy/{name}/{level:g}"].value == 1 for level in robustness.curves[name])
    # 200 in sRGB is 0.578 of the light; at 64 it is 0.051, 3.5 stops less.
    assert metrics["accuracy/darkness/3"].value == 1
    assert metrics["accuracy/darkness/4"].value == pytest.approx(0.25)
    assert metrics["recall/darkness/4"].value == pytest.approx(0.5)
    assert metrics["recall/with_mask/darkness/4"].value == 0
    assert robustness.breaks_at() == {"size": None, "blur": None, "jpeg": None, "darkness": 4}


def test_every_level_has_an_interval_and_all_faces(robustness):
    metrics = {name: estimate for name, estimate in robustness.metrics().items() if "occluder/beard" not in name}
    for name, estimate in metrics.items():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1, name
        assert estimate.low < estimate.high
    assert {estimate.n for name, estimate in metrics.items() if name.startswith("accuracy")} == {40}


def test_reporters_take_it(robustness, tmp_path, capsys):
    ConsoleReporter().report(robustness)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    document = json.loads(JsonReporter(tmp_path / "r.json").report(robustness).read_text())
    assert (document["schema_version"], document["kind"]) == (1, "robustness")
    assert [step["level"] for step in document["curves"]["darkness"]] == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in PlotsReporter(tmp_path / "p").report(robustness).iterdir()] == ["robustness.png"]
    assert "darkness" in render(robustness)


def test_many_faces_are_drawn_from_and_photos_are_cut(tmp_path):
    model = Light()
    photos = [photo(tmp_path / f"{n}.png", *[(np.full((20, 20, 3), 200, np.uint8), "with_mask")] * 3) for n in range(4)]
    photos.append(photo(tmp_path / "odd.png", (np.zeros((20, 20, 3), np.uint8), "mask_weared_incorrect")))
    result = evaluate_robustness(model, photos, max_faces=10, n_resamples=10)
    assert (result.n_faces, result.n_photos, result.left_out) == (10, 4, {"mask_weared_incorrect": 1})
    assert model.n_judged == 10 * 37
    assert "Left out" in render(result)
    with pytest.raises(ValueError, match="max_faces == 0"):
        evaluate_robustness(model, photos, max_faces=0)
