"""A plugin that raises or gives nonsense is named by its check and where it is used, and harms no other."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from torch import nn

from maskkit import evaluate
from maskkit.detectors import Faces
from maskkit.exceptions import PluginError, SkippedImageWarning
from maskkit.reporters import JsonReporter
from maskkit.testing import FixedDetector, TinyBackbone, check_backbone, check_detector, check_reporter, make_faces
from tests.conftest import make_classifier

NONSENSE = {
    "raises": (lambda: 1 / 0, r"detect\(\) failed on .* \(ZeroDivisionError: division by zero\)"),
    "exits": (lambda: sys.exit(7), r"detect\(\) failed on .* \(SystemExit: 7\)"),
    "none": (lambda: None, r"detect\(\) returned NoneType"),
    "nan": (lambda: Faces(np.full((1, 4), np.nan), np.ones(1)), "hold NaN or infinity"),
    "infinite": (lambda: Faces([[0, 0, np.inf, 9]], [1.0]), "hold NaN or infinity"),
    "nan score": (lambda: Faces([[0, 0, 9, 9]], [np.nan]), "hold NaN or infinity"),
    "five columns": (lambda: Faces(np.ones((1, 5)), np.ones(1)), r"boxes_xyxy has shape \(1, 5\)"),
    "two scores": (lambda: Faces([[0, 0, 9, 9]], np.ones(2)), r"scores \(2,\)"),
    "words": (lambda: Faces([["a"] * 4], ["b"]), r"detect\(\) returned Faces"),
    "turned over": (lambda: Faces([[9, 9, 0, 0]], [1.0]), "right <= left"),
    "outside": (lambda: Faces([[5000, 5000, 5100, 5100]], [1.0]), r"lies outside the image of \d+ x \d+ px"),
    "before": (lambda: Faces([[-90, -90, -10, -10]], [1.0]), "lies outside the image"),
    "flat landmarks": (lambda: Faces([[0, 0, 1, 1]], [1.0], np.ones((1, 10))), r"landmarks has shape \(1, 10\)"),
}


class BadDetector(BaseEstimator):
    def __init__(self, kind="raises"):
        self.kind = kind

    def detect(self, image):
        return NONSENSE[self.kind][0]()


@pytest.mark.parametrize("kind", NONSENSE)
def test_check_detector_catches(kind):
    with pytest.raises(PluginError, match=f"detector BadDetector: .*{NONSENSE[kind][1]}"):
        check_detector(BadDetector(kind))


@pytest.mark.parametrize("kind", NONSENSE)
def test_detector_is_named_where_it_is_used(kind, fitted, faces):
    model = make_classifier(detector=BadDetector(kind)).fit(*faces)
    with pytest.raises(PluginError, match=f"detector BadDetector: .*{NONSENSE[kind][1]}"):
        model.predict_faces(faces[0][0])
    (result,) = model.predict_photos(faces[0][:1], on_error="report")
    assert "detector BadDetector" in result.error
    # It fails on everything, so that is no fault of a photo, whatever is done with unreadable photos.
    for on_error in ("report", "skip", "raise"):
        with pytest.raises(PluginError, match=f"detector BadDetector: .*{NONSENSE[kind][1]}"):
            list(model.predict_photos(faces[0][:3], on_error=on_error))
    assert len(fitted.predict_faces(faces[0][0])) == 1


class OverwritingDetector(FixedDetector):
    """Normalizes the image in place."""

    def detect(self, image):
        image -= image.min()
        return super().detect(image)

    def detect_batch(self, images):
        return [self.detect(image) for image in images]


def test_a_detector_cannot_overwrite_its_image(faces):
    photo = faces[0][0] | 1
    before = photo.copy()
    model = make_classifier(detector=OverwritingDetector([[0, 0, 9, 9]])).fit(*faces)
    with pytest.raises(PluginError, match=r"detector OverwritingDetector: detect_batch\(\) failed .*read-only"):
        model.predict_faces(photo)
    assert np.array_equal(photo, before)
    assert photo.flags.writeable
    with pytest.raises(PluginError, match=r"detector OverwritingDetector: detect\(\) failed .*read-only"):
        check_detector(model.detector_)


class FussyDetector(FixedDetector):
    """Cannot bear one photo."""

    def detect(self, image):
        if image.shape[0] == 63:
            raise RuntimeError("63 rows are too few")
        return super().detect(image)


def test_a_photo_that_a_detector_cannot_bear_costs_that_photo(faces):
    model = make_classifier(detector=FussyDetector([[0, 0, 9, 9]])).fit(*faces)
    photos = [*faces[0][:3], faces[0][3][:63], *faces[0][4:6]]
    with pytest.warns(SkippedImageWarning, match="left out: detector FussyDetector") as told:
        assert len(list(model.predict_photos(photos, on_error="skip"))) == 5
    assert "detector FussyDetector: detect() failed" in str(told[0].message)
    assert "63 rows are too few" in str(told[0].message)
    with pytest.raises(PluginError, match="63 rows are too few"):
        list(model.predict_photos(photos, on_error="raise"))


def test_a_detector_that_fails_on_everything_is_stopped_early(faces):
    model = make_classifier(detector=BadDetector("raises")).fit(*faces)
    n_read = 0

    def photos():
        nonlocal n_read
        for n_read in range(1, 10_000):  # noqa: B007
            yield faces[0][0]

    with pytest.raises(PluginError, match="It failed on all of the first 8 photos"):
        list(model.predict_photos(photos()))
    assert n_read < 100


def test_unreadable_photos_neither_hide_nor_cause_the_fault_of_a_detector(faces):
    model = make_classifier(detector=BadDetector("raises")).fit(*faces)
    bad = [b"no image"] * 20
    assert [result.status for result in model.predict_photos(bad)] == ["unreadable"] * 20
    with pytest.raises(PluginError, match="It failed on all of the first 12 photos"):
        list(model.predict_photos([*bad, *faces[0][:12]]))
    working = make_classifier(detector=FixedDetector([[0, 0, 9, 9]])).fit(*faces)
    results = list(working.predict_photos([*bad, *faces[0][:2], *bad]))
    assert [result.status for result in results] == [*["unreadable"] * 20, "ok", "ok", *["unreadable"] * 20]


class FussyBatchDetector(FussyDetector):
    """Cannot bear a batch in which one photo is."""

    def detect_batch(self, images):
        self.sizes = [*getattr(self, "sizes", []), len(images)]
        return [self.detect(image) for image in images]


def test_a_photo_that_a_batch_cannot_bear_costs_that_photo(faces):
    detector = FussyBatchDetector([[0, 0, 9, 9]])
    model = make_classifier(detector=detector).fit(*faces)
    photos = [*faces[0][:3], faces[0][3][:63], *faces[0][4:6]]
    results = list(model.predict_photos(photos))
    assert [result.status for result in results] == ["ok", "ok", "ok", "unreadable", "ok", "ok"]
    assert [len(result) for result in results] == [1, 1, 1, 0, 1, 1]
    assert "detector FussyBatchDetector: detect_batch() failed on " in results[3].error
    assert "63 rows are too few" in results[3].error
    # All together, and then one by one.
    assert detector.sizes == [6, 1, 1, 1, 1, 1, 1]
    with pytest.raises(PluginError, match="63 rows are too few"):
        list(model.predict_photos(photos, on_error="raise"))


class WrongBatchDetector(FixedDetector):
    """Returns another number of results than there are images."""

    def __init__(self, boxes_xyxy=(), n_missing=1):
        super().__init__(boxes_xyxy)
        self.n_missing = n_missing

    def detect_batch(self, images):
        faces = [self.detect(image) for image in images]
        return faces[: len(images) - self.n_missing] if self.n_missing > 0 else faces * 2


@pytest.mark.parametrize(("n_missing", "n_results"), [(1, 0), (0, 2)])
def test_another_number_of_results_is_named(n_missing, n_results, faces):
    detector = WrongBatchDetector([[0, 0, 9, 9]], n_missing)
    model = make_classifier(detector=detector).fit(*faces)
    message = rf"detector WrongBatchDetector: detect_batch\(\) returned {n_results} results for 1 images; want one each"
    with pytest.raises(PluginError, match=message):
        model.predict_faces(faces[0][0])
    for on_error in ("report", "raise"):
        with pytest.raises(PluginError, match=r"for 1 images; want one each\. It failed on all of the first 3 photos"):
            list(model.predict_photos(faces[0][:3], on_error=on_error))


@pytest.mark.parametrize("answer", [None, [None], 7])
def test_nonsense_of_a_batch_is_named(answer, faces):
    detector = FixedDetector([[0, 0, 9, 9]])
    detector.detect_batch = lambda images: answer
    model = make_classifier(detector=detector).fit(*faces)
    with pytest.raises(PluginError, match="detector FixedDetector: "):
        model.predict_faces(faces[0][0])


class Broken(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.layer = nn.Conv2d(3, 16, 5, stride=3)

    def forward(self, images):
        features = self.layer(images).mean(dim=(2, 3)).repeat(1, 4)
        if self.kind == "raises":
            raise KeyError("blocks.7")
        if self.kind == "two outputs":
            return features, features
        return {"nan": features * torch.nan, "too few": features[:, :7], "flat": features.ravel()}[self.kind]


class BadBackbone(TinyBackbone):
    def __init__(self, kind="raises"):
        self.kind = kind

    def build(self, weights):
        if self.kind == "cannot build":
            return 1 / 0
        return "network" if self.kind == "no module" else Broken(self.kind)


BACKBONES = {
    "cannot build": r"build\(\) failed \(ZeroDivisionError: division by zero\)",
    "no module": r"build\(\) returned str; want a torch.nn.Module",
    "raises": r"its network failed on images of \d+ px \(KeyError: 'blocks.7'\)",
    "nan": "computed NaN or infinite features",
    "too few": r"computed features of shape \(2, 7\) for 2 images; want \(2, 64\)",
    "flat": r"computed features of shape \(128,\) for 2 images",
    "two outputs": r"computed features of shape \(\) for 2 images",
}


@pytest.mark.parametrize("kind", BACKBONES)
def test_check_backbone_catches(kind):
    with pytest.raises(PluginError, match=f"backbone BadBackbone: {BACKBONES[kind]}"):
        check_backbone(BadBackbone(kind))


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("fine_tune", [False, True])
def test_backbone_is_named_where_it_is_used(kind, fine_tune, faces):
    model = make_classifier(backbone=BadBackbone(kind), fine_tune=fine_tune, engine="torch", augment=None)
    with pytest.raises(PluginError, match="backbone BadBackbone: "):
        model.fit(*faces)


@pytest.mark.filterwarnings("ignore:.*want one tensor")
def test_backbone_with_two_outputs_is_named_by_every_engine(faces):
    model = make_classifier(backbone=BadBackbone("two outputs"), engine="auto", augment=None)
    with pytest.raises(PluginError, match="backbone BadBackbone: "):
        model.fit(*faces)


def test_check_backbone_wants_every_member():
    class Bare:
        def build(self, weights):
            return nn.Identity()

    with pytest.raises(PluginError, match="backbone Bare: has no image_size"):
        check_backbone(Bare())


class BadReporter:
    def __init__(self, kind):
        self.kind = kind

    def report(self, evaluation):
        if self.kind == "raises":
            raise ConnectionError("the tracker is down")
        return "report.txt" if self.kind == "word" else None


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raises", r"report\(\) failed on the result of evaluate\(\) \(ConnectionError: the tracker is down\)"),
        ("word", r"report\(\) returned 'report.txt'; want None or the Path"),
    ],
)
def test_check_reporter_catches(kind, message):
    with pytest.raises(PluginError, match=f"reporter BadReporter: {message}"):
        check_reporter(BadReporter(kind))


class LeavingReporter:
    """Reads a metric that only some evaluations have, and writes beside where it runs."""

    def __init__(self, metric):
        self.metric = metric

    def report(self, evaluation):
        Path("results.txt").write_text(str(evaluation.metrics()[self.metric]))
        return Path("results.txt")


def test_check_reporter_tries_every_kind_of_report_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PluginError, match=r"failed on the result of evaluate\(\) of several data sets \(KeyError: 'accuracy"
    ):
        check_reporter(LeavingReporter("accuracy"))
    with pytest.raises(PluginError, match=r"failed on the result of evaluate_photos\(\) "):
        check_reporter(
            LambdaReporter(lambda report: report.metrics().get("accuracy") or report.metrics()["recall_drop"])
        )
    check_reporter(LambdaReporter(lambda report: str(report.metrics())))
    check_reporter(JsonReporter("report.json"))
    assert list(tmp_path.iterdir()) == []


class LambdaReporter:
    def __init__(self, function):
        self.function = function

    def report(self, evaluation):
        self.function(evaluation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": (0, 0, 0)}, r"std is \(0, 0, 0\); want positive numbers"),
        ({"std": (1, -1, 1)}, r"std is \(1, -1, 1\); want positive numbers"),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean is .*; want three finite numbers"),
        ({"mean": 0.5}, "mean is 0.5; want three finite numbers"),
        ({"mean": (0.5, 0.5)}, "want three finite numbers"),
        ({"image_size": (32, 32)}, r"image_size is \(32, 32\); want one positive integer"),
        ({"image_size": 32.0}, "image_size is 32.0; want one positive integer"),
        ({"n_features": "64"}, "n_features is '64'; want one positive integer"),
    ],
)
def test_check_backbone_catches_wrong_members(change, message):
    backbone = TinyBackbone()
    for name, value in change.items():
        setattr(backbone, name, value)
    with pytest.raises(PluginError, match=f"backbone TinyBackbone: .*{message}"):
        check_backbone(backbone)


@pytest.mark.parametrize(
    ("check", "group", "plugin"),
    [
        (check_detector, "detector", FixedDetector),
        (check_backbone, "backbone", TinyBackbone),
        (check_reporter, "reporter", JsonReporter),
    ],
)
def test_checks_want_a_name_or_an_instance(check, group, plugin):
    with pytest.raises(PluginError, match=f"{group} is the class {plugin.__name__}; want a name .*an instance"):
        check(plugin)
    with pytest.raises(PluginError, match=f"{group} 'nothing' is unknown; installed: "):
        check("nothing")
    with pytest.raises(PluginError, match=f"{group} is 3; want"):
        check(3)


def test_a_reporter_that_fails_keeps_nobody_from_the_report(fitted, tmp_path):
    faces, labels = make_faces(8)
    reporters = [BadReporter("raises"), JsonReporter(tmp_path / "r.json"), BadReporter("raises")]
    with pytest.raises(PluginError, match=r"reporter BadReporter: .*the tracker is down") as caught:
        evaluate(fitted, faces, labels, reporters=reporters, n_resamples=20)
    assert (tmp_path / "r.json").is_file()
    assert "accuracy" in caught.value.evaluation.metrics()
    assert len(caught.value.__notes__) == 1


def test_what_a_reporter_returns_is_checked_where_it_is_used(fitted, tmp_path):
    faces, labels = make_faces(8)
    with pytest.raises(PluginError, match=r"reporter BadReporter: report\(\) returned 'report.txt'; want None or the"):
        evaluate(fitted, faces, labels, reporters=[BadReporter("word"), JsonReporter(tmp_path / "r.json")])
    assert (tmp_path / "r.json").is_file()
