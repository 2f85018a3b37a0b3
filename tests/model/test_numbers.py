"""Numbers of any library are parameters as good as Python's, and NaN passes no comparison."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from maskkit import FaceEmbedder, MaskClassifier, TransferHead
from maskkit.detectors import MaskkitDetector
from maskkit.evaluation import evaluate
from maskkit.exceptions import ImageError, NotFiniteError, PluginError, WeightsError
from maskkit.testing import FixedDetector, TinyBackbone, make_faces
from tests.conftest import fuzzing, make_classifier
from tests.helpers import DecisionRule, TrainingProgress

NAN, INF = float("nan"), float("inf")
TYPES = (np.uint8, np.float16, np.longdouble, torch.tensor, np.array, Fraction, Decimal)

# Values that have the same meaning in every type.
CLASSIFIER = {
    "epochs": 1,
    "batch_size": 1,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1,
    "threshold": 1,
    "min_size_px": 1,
    "random_state": 1,
    "verbose": 0,
    "find_face": 1,
    "early_stopping": 1,
}
HEAD = {"hidden_units": 1, "patience": 1, "dropout": 0}
LARGER = {"image_size": 48, "batch_size": 8, "epochs": 2, "hidden_units": 5, "patience": 2, "random_state": 3}


def make_savable(**params):
    head = {name: params.pop(name) for name in list(params) if name in {*HEAD, "weight_decay"}}
    defaults = {"backbone": "timm:test_resnet", "weights": None, "detector": "whole", "image_size": 32}
    settings = {"fine_tune": True, "epochs": 2, "augment": None, "learning_rate": 1e-3, "random_state": 0}
    return MaskClassifier(**{**defaults, **settings, "head": TransferHead(**head), **params})


class StoppedError(Exception):
    """What interrupts a fit."""


@pytest.fixture
def stop_after_first_epoch(monkeypatch):
    """Stop a fit in the epoch after the first that was saved; `monkeypatch.undo` lets it run."""
    finish = TrainingProgress.finish_epoch

    def finish_epoch(self, record):
        if record["epoch"] == 2:
            raise StoppedError
        finish(self, record)

    monkeypatch.setattr(TrainingProgress, "finish_epoch", finish_epoch)
    return monkeypatch


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64, np.bool_, torch.tensor])
def test_every_number_fits_saves_and_loads(kind, tmp_path):
    numbers = CLASSIFIER | HEAD
    faces = make_faces(24, size_px=32)
    # At 64 px, batch normalization has several values of a single image.
    model = make_savable(**{name: kind(value) for name, value in numbers.items()}, image_size=64).fit(*faces)
    plain = make_savable(**numbers, image_size=64).fit(*faces)
    np.testing.assert_array_equal(model.predict_proba(faces[0]), plain.predict_proba(faces[0]))
    loaded = MaskClassifier.load(model.save(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict_proba(faces[0]), model.predict_proba(faces[0]), atol=1e-9)
    # scikit-learn: parameters stay as they were passed.
    given = model.get_params()
    for name, value in numbers.items():
        assert type(given[f"head__{name}" if name in HEAD else name]) is type(kind(value)), name
    clone(model)


@pytest.mark.parametrize("kind", TYPES)
def test_larger_numbers_in_every_type(kind, tmp_path):
    faces = make_faces(10, size_px=32)
    model = make_savable(**{name: kind(value) for name, value in LARGER.items()}).fit(*faces)
    plain = make_savable(**LARGER).fit(*faces)
    np.testing.assert_array_equal(model.predict_proba(faces[0]), plain.predict_proba(faces[0]))
    assert MaskClassifier.load(model.save(tmp_path / "model")).embedder_.preprocess_.image_size == 48


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64, torch.tensor])
def test_a_checkpoint_of_any_numbers_is_resumed(kind, stop_after_first_epoch, tmp_path):
    faces = make_faces(10, size_px=32)
    numbers = {"batch_size": 5, "epochs": 2, "learning_rate": 1, "gradient_accumulation_steps": 1, "random_state": 3}
    settings = {name: kind(value) for name, value in numbers.items()}
    model = make_savable(**settings, checkpoint=tmp_path / "state")
    with pytest.raises(StoppedError):
        model.fit(*faces)
    stop_after_first_epoch.undo()
    assert (tmp_path / "state" / "checkpoint.pt").is_file()
    # Python's numbers are the same fit.
    resumed = make_savable(**numbers, checkpoint=tmp_path / "state").fit(*faces)
    whole = make_savable(**numbers).fit(*faces)
    np.testing.assert_array_equal(resumed.predict_proba(faces[0]), whole.predict_proba(faces[0]))


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64, np.bool_, torch.tensor])
def test_set_params_takes_any_numbers_after_the_fit(fitted, faces, kind):
    model = clone(fitted).fit(*faces)
    before = model.predict_proba(faces[0])
    model.set_params(batch_size=kind(1), threshold=kind(1), min_size_px=kind(1), find_face=kind(1))
    np.testing.assert_allclose(model.predict_proba(faces[0]), before)
    assert model.predict_faces(faces[0][0])[0].reasons == ("low_probability",)


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64, np.array, torch.tensor])
def test_detectors_and_embedders_take_any_numbers(kind, faces, tmp_path):
    detector = MaskkitDetector(np.array([64, 96]), kind(1), kind(1), kind(5_000_000), n_threads=kind(1))
    plain = MaskkitDetector([64, 96], 1, 1, 5_000_000, n_threads=1)
    np.testing.assert_array_equal(detector.detect(faces[0][0]).boxes_xyxy, plain.detect(faces[0][0]).boxes_xyxy)
    assert len(MaskkitDetector(kind(64)).detect(faces[0][0])) <= 1
    embedder = FaceEmbedder("timm:test_resnet", weights=None, image_size=kind(32), batch_size=kind(3))
    assert embedder.fit(faces[0]).transform(faces[0][:4]).shape[0] == 4
    model = make_savable(detector=detector, fine_tune=False, weight_decay=kind(1)).fit(*faces)
    loaded = MaskClassifier.load(model.save(tmp_path / "model")).detector_
    assert (loaded.long_sides_px, loaded.threshold, loaded.max_pixels) == ([64, 96], 1, 5_000_000)


class NumpyBackbone(TinyBackbone):
    """A backbone that computed its constants."""

    image_size = np.int64(32)
    mean = np.array([0.5, 0.5, 0.5], np.float32)
    std = torch.tensor([0.5, 0.5, 0.5])
    n_features = np.int64(64)


@pytest.mark.parametrize("fine_tune", [False, True])
def test_numbers_of_a_backbone_become_pythons(faces, fine_tune):
    settings = {"fine_tune": fine_tune, "image_size": 32, "epochs": 2}
    model, plain = (make_classifier(backbone=kind(), **settings).fit(*faces) for kind in (NumpyBackbone, TinyBackbone))
    np.testing.assert_array_equal(model.predict_proba(faces[0]), plain.predict_proba(faces[0]))
    preprocess = model.embedder_.preprocess_
    assert (preprocess.mean, type(preprocess.image_size)) == ((0.5, 0.5, 0.5), int)


def test_a_backbone_that_divides_by_zero_is_named(faces):
    backbone = TinyBackbone()
    backbone.std = (0, 0, 0)
    with pytest.raises(PluginError, match=r"TinyBackbone: its preprocessing failed .*std is .*; want three numbers"):
        make_classifier(backbone=backbone).fit(*faces)


@pytest.mark.parametrize("value", [NAN, np.float32(NAN), torch.tensor(NAN), Decimal("NaN"), INF, -INF, 10**400])
@pytest.mark.parametrize("name", ["threshold", "min_size_px", "learning_rate", "epochs", "validation_fraction"])
def test_no_parameter_is_nan_or_infinite(faces, name, value):
    with pytest.raises(ValueError, match=name):
        make_classifier(**{name: value}).fit(*faces)


@pytest.mark.parametrize("name", ["hidden_units", "dropout", "weight_decay", "patience"])
def test_no_parameter_of_a_head_is_nan(faces, name):
    with pytest.raises(ValueError, match=f"{name}=nan is not a finite number"):
        TransferHead(**{name: NAN}).fit(np.eye(4), [0, 1, 0, 1])


@given(value=st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.binary(), st.complex_numbers()))
@fuzzing(60)
def test_a_threshold_is_a_number_from_0_to_1_or_refused(fitted, value):
    model = clone(fitted).set_params(threshold=value)
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        DecisionRule(value)
        return
    with pytest.raises((TypeError, ValueError)):
        DecisionRule(value)
    if value is not None:
        with pytest.raises((TypeError, ValueError), match="threshold"):
            model.fit(*make_faces(4))


def test_thresholds_set_later_are_checked(fitted, faces, folder):
    model = clone(fitted).fit(*faces).set_params(threshold=NAN)
    with pytest.raises(ValueError, match="threshold=nan is not a finite number"):
        model.predict_faces(faces[0][0])
    with pytest.raises(ValueError, match="threshold=nan"):
        MaskClassifier.load(folder, threshold=NAN)


@pytest.fixture
def folder(savable, tmp_path):
    return savable.save(tmp_path / "model")


def test_a_probability_of_nan_is_never_sure():
    assert DecisionRule(0.0, 0.0).reasons(NAN, 5) == ("low_probability",)
    assert DecisionRule(0.5, 3.0).reasons(NAN, NAN) == ("too_small", "low_probability")


@pytest.mark.parametrize("fine_tune", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_training_that_diverges_raises(faces, fine_tune, early_stopping):
    model = make_classifier(
        fine_tune=fine_tune, learning_rate=1e38, epochs=4, early_stopping=early_stopping, head=TransferHead()
    )
    with pytest.raises(NotFiniteError, match=r"training diverged in epoch \d: .*lower learning_rate \(the maximum was"):
        model.fit(*faces)
    with pytest.raises(NotFittedError):
        model.predict(faces[0])


@pytest.mark.parametrize("factor", [1e39, 1e300, 1e-39, 1e-300, 2.0**60])
@pytest.mark.parametrize("fine_tune", [False, True])
def test_only_the_proportions_of_weights_matter(faces, factor, fine_tune):
    images, labels = faces
    weights = np.where(labels == "with_mask", 1.0, 3.0)
    model, plain = (
        make_classifier(fine_tune=fine_tune, augment=None, epochs=2).fit(images, labels, sample_weight=weights * scale)
        for scale in (factor, 1)
    )
    np.testing.assert_allclose(model.predict_proba(images), plain.predict_proba(images), atol=1e-4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([NAN] * 40, "sample_weight holds NaN"),
        ([INF] * 40, "sample_weight holds NaN"),
        (["heavy"] * 40, "sample_weight holds something that is not a number"),
        ([None] * 40, "sample_weight holds NaN"),
        (np.ones((40, 2)), "sample_weight has"),
    ],
)
def test_weights_that_are_no_numbers_are_told(faces, weights, message):
    with pytest.raises(ValueError, match=message):
        make_classifier().fit(*faces, sample_weight=weights)


@pytest.mark.parametrize("weight", [NAN, INF, -1.0])
def test_class_weights_are_finite(faces, weight):
    with pytest.raises(ValueError, match=r"class_weight\['with_mask'\]"):
        make_classifier(class_weight={"with_mask": weight, "without_mask": 1}).fit(*faces)


def test_class_weights_of_any_library(faces):
    kinds = ({"with_mask": kind(3), "without_mask": 1} for kind in (float, np.float32, torch.tensor, Fraction))
    first, *others = (make_classifier(class_weight=weight).fit(*faces).predict_proba(faces[0]) for weight in kinds)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_a_head_of_nan_does_not_predict_the_first_class(faces):
    model = make_classifier().fit(*faces)
    with torch.no_grad():
        model.head_.network_[3].bias.fill_(NAN)
    for call in (lambda: model.predict(faces[0]), lambda: model.predict_faces(faces[0][0])):
        with pytest.raises(NotFiniteError, match="TransferHead predicted probabilities that are NaN or infinite"):
            call()


class TestCalibration:
    """Nothing usable gives an error that says what is missing."""

    @pytest.mark.parametrize(
        ("goal", "message"),
        [
            ({}, "either precision or uncertain_cost"),
            ({"precision": 0.9, "uncertain_cost": 0.1}, "either precision or uncertain_cost"),
            ({"precision": NAN}, "precision=nan is not a finite number"),
            ({"precision": 1.5}, "precision == 1.5, must be <= 1"),
            ({"uncertain_cost": NAN}, "uncertain_cost=nan"),
            ({"uncertain_cost": -1}, "uncertain_cost == -1"),
            ({"uncertain_cost": 1.5}, "uncertain_cost == 1.5"),
        ],
    )
    def test_goal(self, fitted, faces, goal, message):
        with pytest.raises(ValueError, match=message):
            fitted.choose_threshold(*faces, **goal)

    @pytest.mark.parametrize("call", ["calibrate", "choose_threshold"])
    def test_faces_of_one_class_say_nothing(self, fitted, faces, call):
        goal = {"precision": 0.9} if call == "choose_threshold" else {}
        one = [image for image, label in zip(*faces, strict=True) if label == "with_mask"]
        adjust = getattr(fitted, call)
        with pytest.raises(ValueError, match="y holds 20 faces of 'with_mask' alone; want held-out faces of two"):
            adjust(one, ["with_mask"] * 20, **goal)
        with pytest.raises(ValueError, match="want at least one image"):
            adjust([], [], **goal)
        # This is told before images are read.
        with pytest.raises(ValueError, match="y holds 1 faces of 'with_mask' alone"):
            adjust(["gone.png"], ["with_mask"], **goal)


class TestChangesAfterTheFit:
    """What concerns prediction is heeded, and anything else needs a new fit."""

    @pytest.mark.parametrize(
        "params",
        [
            {"image_size": 64},
            {"backbone": "efficientnet_lite0"},
            {"weights": "imagenet"},
            {"head": LogisticRegression()},
            {"head__hidden_units": 5},
            {"fine_tune": True},
            {"epochs": 3},
            {"gradient_accumulation_steps": 2},
            {"learning_rate": 1e-3},
            {"early_stopping": True},
            {"validation_fraction": 0.5},
            {"class_weight": "balanced"},
            {"augment": None},
            {"random_state": 7},
        ],
    )
    @pytest.mark.parametrize("is_loaded", [False, True])
    def test_what_needs_a_fit_is_refused(self, savable, faces, tmp_path, params, is_loaded):
        source = savable if not is_loaded else MaskClassifier.load(savable.save(tmp_path / "model"))
        model = source if is_loaded else clone(source).fit(*faces)
        before = model.predict_proba(faces[0])
        kept = {name.partition("__")[0]: model.get_params()[name.partition("__")[0]] for name in params}
        head = clone(model.head) if model.head is not None else None
        model.set_params(**params)
        for call in (model.predict, lambda X: model.predict_faces(X[0]), lambda X: model.save(tmp_path / "other")):
            with pytest.raises(
                NotFittedError, match=r"was set to .* after the fit, .*; call fit again, or set it back"
            ):
                call(faces[0])
        if "head__hidden_units" in params and is_loaded:
            kept = {f"head__{name}": value for name, value in head.get_params().items()}
        model.set_params(**kept)
        np.testing.assert_array_equal(model.predict_proba(faces[0]), before)

    def test_a_new_fit_takes_them(self, fitted, faces):
        model = clone(fitted).fit(*faces).set_params(epochs=3, image_size=48).fit(*faces)
        assert len(model.history_) == 3
        assert model.score(*faces) > 0.9

    def test_the_detector_is_heeded(self, savable, faces, tmp_path):
        loaded = MaskClassifier.load(savable.save(tmp_path / "model"))
        for model in (clone(savable).fit(*faces), loaded):
            assert len(model.predict_faces(faces[0][0])) == 1
            model.set_params(detector=FixedDetector([(0, 0, 9, 9), (20, 20, 40, 40)]))
            result = model.predict_faces(faces[0][0])
            assert (len(result), result.detector) == (2, "FixedDetector")
            model.detector = "whole"
            result = model.predict_faces(faces[0][0])
            assert (len(result), result.detector) == (1, "whole")

    def test_an_unknown_detector_is_refused(self, savable, faces):
        model = clone(savable).fit(*faces)
        with pytest.raises(PluginError, match="detector 'no_such' is unknown; installed: "):
            model.set_params(detector="no_such", threshold=0.5)
        assert (model.detector, model.threshold) == ("whole", 0.0)
        model.detector = "no_such"
        with pytest.raises(PluginError, match="detector 'no_such' is unknown"):
            model.predict_faces(faces[0][0])

    def test_find_face_device_and_precision_reach_the_first_stage(self, savable, faces):
        model = clone(savable).fit(*faces)
        finder = model.predictor_.embedder.face_finder
        assert finder is not None
        model.set_params(find_face=False, precision="float32", engine="torch", batch_size=3, cache=None)
        assert model.predictor_.embedder.face_finder is None
        assert model.embedder_.get_params(deep=False).items() >= {"find_face": False, "engine": "torch"}.items()
        assert (model.predictor_.embedder.settings.batch_size, model.embedder_.cache) == (3, None)
        model.set_params(find_face=True)
        assert model.embedder_.find_face
        with pytest.raises(ValueError, match="device='gpu' is unknown"):
            model.set_params(device="gpu").predict(faces[0])

    def test_the_stages_alone_follow_the_same_rule(self, faces):
        embedder = FaceEmbedder(TinyBackbone(), weights=None, random_state=0).fit(faces[0])
        embedder.set_params(batch_size=3, cache=None).transform(faces[0])
        with pytest.raises(NotFittedError, match="image_size was set to 48 after the fit, which had None"):
            embedder.set_params(image_size=48).transform(faces[0])
        head = TransferHead(random_state=0).fit(np.eye(6), [0, 1] * 3)
        with pytest.raises(NotFittedError, match="hidden_units was set to 5 after the fit, which had 300"):
            head.set_params(hidden_units=5).predict(np.eye(6))


class TestEarlyStopping:
    @pytest.mark.parametrize("fine_tune", [False, True])
    def test_images_without_weight_are_not_held_out(self, faces, fine_tune):
        weights = np.zeros(40)
        weights[:10] = 1
        settings = {"early_stopping": True, "fine_tune": fine_tune, "validation_fraction": 0.2, "epochs": 2}
        model = make_classifier(augment=None, **settings).fit(*faces, sample_weight=weights)
        assert all(record["validation_loss"] > 0 for record in model.history_)

    @pytest.mark.parametrize("fine_tune", [False, True])
    @pytest.mark.parametrize(
        ("labels", "weights"),
        [
            (["a", "b"] * 3, None),  # a tenth of six is one, and there are two classes
            (["a"] * 39 + ["b"], None),
            (["a", "b"] * 20, [1] * 4 + [0] * 36),
        ],
    )
    def test_too_few_images_are_told_before_they_are_read(self, labels, weights, fine_tune):
        missing = [f"gone{row}.png" for row in range(len(labels))]
        with pytest.raises(ValueError, match=r"early stopping cannot hold out validation_fraction=0.1 of \d+ examples"):
            make_classifier(early_stopping=True, fine_tune=fine_tune).fit(missing, labels, sample_weight=weights)

    def test_the_head_alone_tells_it(self):
        with pytest.raises(ValueError, match="the smallest one has 1"):
            TransferHead(early_stopping=True, validation_fraction=0.5).fit(np.eye(5), [0, 0, 0, 0, 1])


def test_evaluations_take_any_numbers(fitted, faces):
    plain = evaluate(fitted, *faces, n_resamples=20, random_state=3).metrics()
    other = evaluate(fitted, *faces, n_resamples=np.float64(20), random_state=np.int64(3)).metrics()
    assert plain == other
    for params in ({"n_resamples": NAN}, {"random_state": NAN}, {"n_resamples": INF}):
        with pytest.raises(ValueError, match="is not a finite number"):
            evaluate(fitted, *faces, **params)


def test_weights_that_are_not_finite_are_refused(faces, tmp_path):
    embedder = FaceEmbedder("timm:test_resnet", weights=None).fit(faces[0])
    state = embedder.network_.state_dict()
    torch.save({name: value * NAN for name, value in state.items()}, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"nan\.pth holds NaN or infinity in .* more; pass weights of a training"):
        FaceEmbedder("timm:test_resnet", weights=tmp_path / "nan.pth").fit(faces[0])


@pytest.mark.parametrize("max_px", [NAN, INF, 0])
def test_a_limit_of_pixels_is_a_number(fitted, faces, max_px):
    with pytest.raises(ValueError, match="max_px"):
        fitted.predict_faces(faces[0][0], max_px=max_px)
    with pytest.raises(ValueError, match="max_px"):
        fitted.predict_photos(faces[0][:2], max_px=max_px)
    assert fitted.predict_faces(faces[0][0], max_px=np.float64(1e6)).status == "ok"


# Neither numbers nor another choice


@pytest.mark.parametrize(
    "name", ["verbose", "threshold", "min_size_px", "gradient_accumulation_steps", "find_face", "device", "fine_tune"]
)
def test_none_is_refused_where_it_is_no_choice(faces, name):
    with pytest.raises(ValueError, match=f"{name} is None; want a value"):
        make_classifier(**{name: None}).fit(*faces)


@pytest.mark.parametrize("name", ["hidden_units", "patience", "dropout"])
def test_none_is_refused_by_a_head(faces, name):
    with pytest.raises(ValueError, match=f"{name} is None; want a value"):
        make_classifier(head=TransferHead(**{name: None})).fit(*faces)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (None, "NoneType"),
        (np.full((8, 8, 3), NAN), "want dtype uint8"),
        (np.zeros((0, 8, 3), np.uint8), "want shape"),
        (np.zeros((3, 8, 8), np.uint8), "want shape"),
    ],
)
def test_what_augment_returns_is_an_image(faces, changed, message):
    model = make_savable(augment=lambda image, rng: changed)
    with pytest.raises(ImageError, match=rf"what augment returned for image \d+ .*{message}"):
        model.fit(*faces)


def test_augment_may_return_gray(faces):
    augments = (lambda image, rng: image[..., 0], lambda image, rng: image[..., [0, 0, 0]])
    gray, rgb = (make_savable(augment=augment, epochs=1).fit(*faces).embedder_.network_ for augment in augments)
    torch.testing.assert_close(gray.state_dict(), rgb.state_dict())


@pytest.mark.parametrize("weights", [3, {"conv.weight": torch.ones(1)}, np.ones(3)])
def test_weights_that_are_no_path_are_told(faces, weights):
    with pytest.raises(WeightsError, match=r"weights is of type .*want 'imagenet', None or the path"):
        make_savable(weights=weights).fit(*faces)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_floats_are_told(faces, tmp_path, dtype):
    state = timm.create_model("test_resnet").state_dict()
    torch.save({name: value.to(dtype) for name, value in state.items()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds other numbers than floats in conv1"):
        make_savable(weights=tmp_path / "w.pth").fit(*faces)
