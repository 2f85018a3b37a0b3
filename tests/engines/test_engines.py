import shutil

import numpy as np
import pytest
import torch
from scipy.special import logit
from torch import nn

from maskkit import FaceEmbedder, MaskClassifier
from maskkit.engines import _compile
from maskkit.exceptions import EngineError, PluginError
from maskkit.testing import TinyBackbone
from tests.conftest import make_classifier


class BranchingBackbone(TinyBackbone):
    """A network that computes other features for bright images, which no trace can follow."""

    def build(self, weights):
        return Branching(super().build(weights))


class Branching(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        features = self.network(inputs)
        return features * 100 if inputs.abs().sum() > 0 else features


def make_embedder(**params):
    return FaceEmbedder(**{"backbone": TinyBackbone(), "weights": None, "random_state": 0, "cache": None, **params})


@pytest.mark.parametrize("backbone", [TinyBackbone(), "efficientnet_lite0", "resnet50"])
def test_openvino_computes_what_torch_computes(backbone, faces):
    params = {"backbone": backbone, "image_size": 64, "precision": "float32", "batch_size": 3}
    images = faces[0][:7]
    expected = make_embedder(**params, engine="torch").fit(images).transform(images)
    found = make_embedder(**params, engine="openvino").fit(images).transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_openvino_is_the_engine_of_cpus(faces):
    embedder = make_embedder(device="cpu").fit(faces[0])
    embedder.transform(faces[0][:1])
    assert type(embedder.engine_).__name__ == "OpenVINOEngine"


def test_features_follow_the_weights(faces):
    """An engine made before fine-tuning must not be used after it."""
    model = make_classifier(fine_tune=True, epochs=4, augment=None).fit(*faces)
    before = model.predict_proba(faces[0])
    with torch.no_grad():
        for parameter in model.embedder_.network_.parameters():
            parameter.mul_(0.5)
    model.embedder_._fitted.invalidate_engines()
    changed = model.predict_proba(faces[0])
    model.set_params(engine="torch", precision="float32", cache=None)
    np.testing.assert_allclose(changed, model.predict_proba(faces[0]), atol=1e-3)
    assert np.abs(changed - before).max() > 0


def test_network_that_cannot_be_traced_is_computed_by_torch_and_that_is_said(faces):
    embedder = make_embedder(backbone=BranchingBackbone()).fit(faces[0])
    with pytest.warns(UserWarning, match=r"Branching computes other features once it is traced.*engine='torch'"):
        features = embedder.transform(faces[0][:2])
    np.testing.assert_array_equal(
        features, make_embedder(backbone=BranchingBackbone(), engine="torch").fit(faces[0]).transform(faces[0][:2])
    )


def test_network_that_cannot_be_traced_is_refused_by_openvino(faces):
    embedder = make_embedder(backbone=BranchingBackbone(), engine="openvino").fit(faces[0])
    with pytest.raises(EngineError, match=r"Branching computes other features .* use engine='torch'"):
        embedder.transform(faces[0][:2])


@pytest.mark.parametrize(
    ("backbone", "error", "message"),
    [
        ("timm:test_resnet", EngineError, r"^ResNet cannot be run by OpenVINO with image_size=8, .* use a larger one"),
        ("timm:test_vit", PluginError, "its network failed on images of 8 px"),
    ],
)
def test_image_size_that_is_too_small_is_named(faces, backbone, error, message):
    with pytest.raises(error, match=message):
        make_embedder(backbone=backbone, image_size=8, engine="openvino").fit(faces[0]).transform(faces[0][:2])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"engine": "tensorrt"}, "engine='tensorrt' is unknown; use 'auto', 'torch', 'openvino'"),
        ({"engine": "torch", "precision": "int8", "device": "cpu"}, "precision='int8' needs engine='openvino'"),
        ({"engine": "openvino", "precision": "float16", "device": "cpu"}, "precision='float16' needs a GPU"),
        ({"precision": "half"}, "precision='half' is unknown"),
        ({"cache": 5}, "cache=5 is unknown; use 'memory', None or the path of a file"),
    ],
)
def test_wrong_parameters_are_told_before_anything_is_read(params, message):
    with pytest.raises(ValueError, match=message):
        make_embedder(**params).fit(["no such file"])


class ReducedPrecision:
    """An engine whose features are off, and says so."""

    n_streams, batch_size = 1, 32
    is_reduced = True

    def __init__(self, engine, noise):
        self.engine = engine
        self.noise = noise

    def compute(self, pixels):
        features = self.engine.compute(pixels)
        return features + self.noise * np.random.default_rng(len(pixels)).normal(size=features.shape).astype(np.float32)


def test_what_is_close_is_judged_on_exact_features(faces, monkeypatch):
    model = make_classifier(precision="float32", cache=None).fit(*faces)
    exact = model.predict_proba(faces[0])
    engine = model.embedder_.engine_
    model.set_params(precision="auto")
    fitted = model.embedder_._fitted
    scale = float(np.abs(engine.compute(np.zeros((1, 32, 32, 3), np.uint8))).mean())
    off = ReducedPrecision(engine, 0.1 * scale)
    choose = fitted.engine
    monkeypatch.setattr(
        fitted, "engine", lambda settings, precision=None: choose(settings, precision) if precision else off
    )
    monkeypatch.setattr("maskkit._model.predictor.MIN_MARGIN", 0)
    rounded = model.predict_proba(faces[0])
    first, second = np.sort(rounded, axis=1)[:, ::-1].T
    monkeypatch.setattr("maskkit._model.predictor.MIN_MARGIN", np.median(first - second))
    close = first - second < np.median(first - second)
    found = model.predict_proba(faces[0])
    assert (rounded != exact).all()
    np.testing.assert_allclose(found[close], exact[close], atol=1e-6)
    np.testing.assert_array_equal(found[~close], rounded[~close])
    off.is_reduced = False  # asked for outright
    np.testing.assert_array_equal(model.predict_proba(faces[0]), rounded)


@pytest.mark.parametrize("threshold", [0.6, 0.9, 0.97, 0.995])
def test_what_is_near_a_threshold_is_judged_on_exact_features(faces, monkeypatch, threshold):
    model = make_classifier(precision="float32", cache=None).fit(*faces)
    # Probabilities are spread over all thresholds.
    model.head_._scale_logits(4 / np.abs(logit(model.predict_proba(faces[0])[:, 0])).max())
    exact = model.predict_proba(faces[0]).max(axis=1)
    engine = model.embedder_.engine_
    off = ReducedPrecision(engine, 0.0)
    fitted = model.embedder_._fitted
    choose = fitted.engine
    monkeypatch.setattr(
        fitted, "engine", lambda settings, precision=None: choose(settings, precision) if precision else off
    )
    model.set_params(precision="auto", threshold=threshold)
    scale = float(np.abs(engine.compute(np.zeros((1, 32, 32, 3), np.uint8))).mean())
    for off.noise in (0.01 * scale, 0.03 * scale):
        rounded = model.predict_proba(faces[0]).max(axis=1)
        np.testing.assert_array_equal(rounded >= threshold, exact >= threshold)
        near = (exact < 0.9) | (np.abs(logit(exact) - logit(threshold)) < 0.5)
        np.testing.assert_allclose(rounded[near], exact[near], atol=1e-6)


def test_features_in_float32_are_cached(faces, tmp_path, monkeypatch):
    # The cache in memory may hold features that other tests computed.
    model = make_classifier(precision="float32", cache=str(tmp_path / "features.db")).fit(*faces)
    engine, fitted = model.embedder_.engine_, model.embedder_._fitted
    n_exact = []

    class Counted:
        n_streams, is_reduced = engine.n_streams, False

        def compute(self, pixels):
            n_exact.append(len(pixels))
            return engine.compute(pixels)

    off = ReducedPrecision(engine, 0.01)
    monkeypatch.setattr(fitted, "engine", lambda settings, precision=None: Counted() if precision else off)
    monkeypatch.setattr("maskkit._model.predictor.MIN_MARGIN", 2)
    model.set_params(precision="auto")
    first = model.predict_proba(faces[0])
    assert sum(n_exact) == len(faces[0])
    np.testing.assert_array_equal(model.predict_proba(faces[0]), first)
    assert sum(n_exact) == len(faces[0])


def test_threshold_and_temperature_are_chosen_in_float32(faces, monkeypatch):
    model = make_classifier(precision="float32", cache=None).fit(*faces)
    wanted = model.choose_threshold(*faces, uncertain_cost=0.2)
    fitted = model.embedder_._fitted
    choose, asked = fitted.engine, []

    def engine(settings, precision=None):
        asked.append(precision or settings.precision)
        return choose(settings, "float32")

    monkeypatch.setattr(fitted, "engine", engine)
    model.set_params(precision="auto")
    assert model.choose_threshold(*faces, uncertain_cost=0.2) == wanted
    model.calibrate(*faces)
    assert set(asked) == {"float32"}
    assert model.precision == "auto"


def test_int8_is_calibrated_by_fit_and_kept_with_the_model(faces, tmp_path):
    pytest.importorskip("nncf")
    model = make_classifier(backbone="efficientnet_lite0", image_size=64, precision="int8", detector="whole").fit(
        *faces
    )
    assert model.score(*faces) >= 0.95
    model.save(tmp_path / "model")
    loaded = MaskClassifier.load(tmp_path / "model")
    assert loaded.precision == "int8"
    np.testing.assert_allclose(loaded.predict_proba(faces[0]), model.predict_proba(faces[0]), atol=1e-5)
    exact = MaskClassifier.load(tmp_path / "model", precision="float32", cache=None)
    assert np.abs(exact.predict_proba(faces[0]) - loaded.predict_proba(faces[0])).max() > 0


def test_int8_of_a_model_that_has_none_says_how_to_get_it(faces):
    model = make_classifier().fit(*faces).set_params(precision="int8")
    with pytest.raises(EngineError, match=r"is not quantized to int8; call quantize\(X\)"):
        model.predict(faces[0])


@pytest.fixture
def compile_once(tmp_path, monkeypatch):
    """Compile a tiny model through the cache; tell how often it was built."""
    monkeypatch.setenv("MASKKIT_CACHE", str(tmp_path / "cache"))
    calls = []

    def build():
        calls.append(1)
        parameter = _compile.openvino.opset13.parameter([1], np.float32)
        return _compile.openvino.Model([_compile.openvino.opset13.multiply(parameter, np.float32([2]))], [parameter])

    def run(as_another_process=True):
        if as_another_process:
            _compile._RECENT.clear()
        compiled = _compile.compile_model(build, key="twice", settings={"PERFORMANCE_HINT": "LATENCY"})
        assert compiled([np.float32([21])])[0].tolist() == [42]
        return len(calls)

    return run, tmp_path / "cache"


def test_compiled_model_is_kept_for_the_next_process(compile_once):
    run, _ = compile_once
    assert [run(), run()] == [1, 1]


def test_compiled_model_serves_the_fits_that_follow(compile_once):
    run, folder = compile_once
    run()
    shutil.rmtree(folder)
    assert run(as_another_process=False) == 1


def test_damaged_compiled_model_is_made_anew(compile_once):
    run, folder = compile_once
    run()
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    assert [run(), run()] == [2, 2]


def test_cache_that_cannot_be_written_costs_time_only(compile_once):
    run, folder = compile_once
    folder.write_text("a file where the folder should be")
    assert [run(), run()] == [1, 2]
