"""Every path to a device, on one that refuses to be mixed with the CPU."""

import copy
import logging
import pickle
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from maskkit import FaceEmbedder, TransferHead, explain, export
from maskkit.detectors import MaskkitDetector
from maskkit.exceptions import EngineError, ModelFileError
from maskkit.testing import TinyBackbone, make_faces
from tests.conftest import make_classifier
from tests.gpu.fake_gpu import NAME, Memory, Traffic
from tests.helpers import N_DRAWS, Preprocess, augment_faces

FACES, LABELS = make_faces(24, random_state=0)


class Normalized(TinyBackbone):
    """A backbone with batch normalization, which learns its statistics if the weights are random."""

    def build(self, weights):
        convolution, *others = super().build(weights)
        return nn.Sequential(convolution, nn.BatchNorm2d(16), *others)


def fit_model(**params):
    given = {"precision": "float32", "cache": None, "head": TransferHead(dropout=0.0)}
    return make_classifier(**given | params).fit(FACES, LABELS)


def fit_every_layer(**params):
    return fit_model(**{"fine_tune": True, "epochs": 2, "batch_size": 8, "augment": None} | params)


def devices_of(network):
    return {value.device.type for value in network.state_dict().values()}


def test_a_head_learns_what_it_learns_on_the_cpu(fake_gpu):
    table = np.random.default_rng(0).normal(size=(200, 30)).astype(np.float32)
    labels = (table[:, 0] + table[:, 1] > 0).astype(int)
    there, here = (
        TransferHead(epochs=4, device=device, random_state=0).fit(table, labels) for device in ("auto", "cpu")
    )
    np.testing.assert_allclose(there.predict_proba(table), here.predict_proba(table), atol=1e-4)
    assert devices_of(there.network_) == {"cpu"}


@pytest.mark.parametrize("fit", [fit_model, fit_every_layer])
def test_a_model_trains_and_predicts_as_on_the_cpu(fake_gpu, fit):
    there, here = fit(), fit(device="cpu", engine="torch")
    assert there.embedder_.engine_.device == fake_gpu
    np.testing.assert_allclose(there.predict_proba(FACES), here.predict_proba(FACES), atol=1e-3)
    np.testing.assert_allclose(explain(there, FACES[0]).heat, explain(here, FACES[0]).heat, atol=1e-3)


def test_images_augmented_there_are_those_of_the_cpu(fake_gpu):
    draws = np.random.default_rng(0).random((24, N_DRAWS))
    there, here = (augment_faces(FACES, draws, 48, device) for device in (fake_gpu, torch.device("cpu")))
    assert there.device == fake_gpu
    np.testing.assert_array_equal(there.cpu(), here)


def stop(record):
    raise KeyboardInterrupt


def test_every_layer_trains_with_random_statistics_and_resumes(fake_gpu, tmp_path):
    whole = fit_every_layer(backbone=Normalized())
    with pytest.raises(KeyboardInterrupt):
        fit_every_layer(backbone=Normalized(), checkpoint=tmp_path / "kept", callbacks=[stop])
    resumed = fit_every_layer(backbone=Normalized(), checkpoint=tmp_path / "kept")
    np.testing.assert_array_equal(resumed.predict_proba(FACES), whole.predict_proba(FACES))


def test_a_training_resumes_on_the_same_card_only(fake_gpu, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        fit_every_layer(checkpoint=tmp_path / "kept", callbacks=[stop])
    monkeypatch.setattr("maskkit._model.fine_tuning.describe_device", lambda device: "another card")
    with pytest.raises(ModelFileError, match=r"is the checkpoint of another fit \(other device\)"):
        fit_every_layer(checkpoint=tmp_path / "kept")


def test_training_and_float32_are_exact(fake_gpu, monkeypatch):
    seen = []

    def exact(device):
        seen.append(device)
        return nullcontext()

    for module in ("engines._torch", "_training.trainer"):
        monkeypatch.setattr(f"maskkit.{module}.exact", exact)
    model = fit_every_layer()
    assert seen == [fake_gpu]
    model.predict(FACES[:1])
    assert seen == [fake_gpu] * 2


@pytest.mark.parametrize("augment", [None, "device"])
@pytest.mark.parametrize("validation", [None, (FACES[:8], LABELS[:8])], ids=["", "validation"])
def test_training_waits_for_the_device_a_few_times_per_epoch(fake_gpu, monkeypatch, validation, augment):
    """Once for loss and accuracy, for the check of the weights, and for each figure of the validation."""
    monkeypatch.setattr("maskkit._training.trainer._READ_INTERVAL_S", np.inf)
    traffic = []
    for epochs in (2, 4):
        before = Traffic.n_sent, Traffic.n_returned
        fit_every_layer(epochs=epochs, batch_size=4, validation_data=validation, augment=augment)
        traffic.append((Traffic.n_sent - before[0], Traffic.n_returned - before[1]))
    n_sent, n_returned = ((more - less) / 2 for less, more in zip(*traffic, strict=True))
    assert n_returned == (2 if validation is None else 4)
    # Pixels, targets and weights of each batch; the rest of the normalization was there before.
    # The changes of a batch that is augmented there are sent besides.
    assert n_sent == 3 * (6 if validation is None else 8) + (6 if augment else 0)


def test_losses_do_not_depend_on_how_often_they_are_read(fake_gpu, monkeypatch):
    histories = []
    for interval in (0.0, np.inf):
        monkeypatch.setattr("maskkit._training.trainer._READ_INTERVAL_S", interval)
        histories.append([(record["loss"], record["accuracy"]) for record in fit_every_layer().history_])
    assert histories[0] == histories[1]


def test_a_model_predicts_after_it_was_handed_about(fake_gpu, tmp_path):
    model = fit_model()
    wanted = model.predict_proba(FACES)
    opened = pickle.loads(pickle.dumps(model))
    copied = copy.deepcopy(model)
    export(model, tmp_path / "exported", output_format="openvino")
    for each in (model, opened, copied):
        np.testing.assert_array_equal(each.predict_proba(FACES), wanted)
        assert devices_of(each.embedder_.network_) == {"cpu"}
    for device in ("cpu", "auto", "cpu", "auto"):
        np.testing.assert_allclose(model.set_params(device=device).predict_proba(FACES), wanted, atol=1e-4)
    assert NAME.encode() not in pickle.dumps(model)


def test_engines_of_one_device_share_one_copy_of_the_network(fake_gpu):
    fitted = FaceEmbedder(TinyBackbone(), weights=None, cache=None).fit(FACES)
    engines = [fitted.set_params(precision=precision).engine_ for precision in ("auto", "float32")]
    assert engines[0] is not engines[1]
    assert engines[0].network is engines[1].network is not fitted.network_


def test_a_head_of_scikit_learn_learns_from_features_of_the_device(fake_gpu):
    model = make_classifier(head=LogisticRegression(), precision="float32").fit(FACES, LABELS)
    assert model.score(FACES, LABELS) > 0.9


def test_after_an_error_the_network_is_on_the_cpu(fake_gpu, monkeypatch):
    seen = []

    def fail(self, batches):
        seen.append((self.network, devices_of(self.network)))
        raise RuntimeError("broken")

    monkeypatch.setattr("maskkit._training.trainer.Trainer.fit", fail)
    for fit in (fit_model, fit_every_layer):
        with pytest.raises(RuntimeError, match="broken"):
            fit()
    assert [devices for _, devices in seen] == [{NAME}, {NAME}]
    assert [devices_of(network) for network, _ in seen] == [{"cpu"}, {"cpu"}]


def test_a_batch_that_does_not_fit_is_halved(fake_gpu, caplog):
    embedder = FaceEmbedder(TinyBackbone(), weights=None, cache=None, precision="float32", batch_size=8).fit(FACES)
    wanted = embedder.transform(FACES)
    Memory.max_images = 3
    np.testing.assert_allclose(embedder.transform(FACES), wanted, atol=1e-6)
    messages = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == [f"{NAME}:0 is out of memory; batches have {n} images from now on." for n in (4, 2)]
    Memory.max_images = 0
    with pytest.raises(EngineError, match=r"fakegpu:0 has too little memory for one image \(fakegpu out of memory"):
        embedder.transform(FACES)


def test_the_next_batch_is_sent_before_the_features_of_the_last_are_fetched(fake_gpu, monkeypatch):
    embedder = FaceEmbedder(TinyBackbone(), weights=None, cache=None, batch_size=12).fit(FACES)
    normalize, both_are_sent = Preprocess.normalize, threading.Barrier(2, timeout=60)

    def wait_for_other(self, *args):
        both_are_sent.wait()
        return normalize(self, *args)

    wanted = embedder.transform(FACES)
    monkeypatch.setattr(Preprocess, "normalize", wait_for_other)
    np.testing.assert_array_equal(embedder.transform(FACES), wanted)


def test_photos_that_do_not_fit_together_are_searched_apart(fake_gpu, caplog):
    photos = make_faces(4, size_px=96, random_state=0)[0]
    detector = MaskkitDetector(long_sides_px=64)
    wanted = detector.detect_batch(photos)
    Memory.max_images = 1
    for faces, others in zip(detector.detect_batch(photos), wanted, strict=True):
        np.testing.assert_allclose(faces.boxes_xyxy, others.boxes_xyxy, atol=1e-2)
    assert "batches have 1 images from now on" in caplog.text
    Memory.max_images = 0
    with pytest.raises(EngineError, match=r"one image .*; use lower long_sides_px and max_pixels of the detector"):
        detector.detect(photos[0])


def test_a_training_batch_that_does_not_fit_is_divided(fake_gpu, caplog):
    wanted = fit_every_layer()
    Memory.max_images = 3
    divided = fit_every_layer(weights=None)
    assert "each batch is divided into 4 parts from now on" in caplog.text
    assert "fakegpu:0 has too little memory to train on 8 images at once (fakegpu out of memory" in caplog.text
    np.testing.assert_allclose(divided.predict_proba(FACES), wanted.predict_proba(FACES), atol=1e-4)
    np.testing.assert_allclose(divided.history_[-1]["loss"], wanted.history_[-1]["loss"], rtol=1e-4)
    Memory.max_images = 0
    with pytest.raises(
        EngineError, match=r"train on 8 images at once .*, and on one, so a lower batch_size is no help"
    ):
        fit_every_layer()


def test_gradients_of_a_step_that_fails_are_dropped(fake_gpu, caplog):
    sizes = {"batch_size": 4, "gradient_accumulation_steps": 2}
    wanted = fit_every_layer(**sizes)
    Memory.n_until_full = 2
    divided = fit_every_layer(**sizes)
    assert "each batch is divided into 2 parts" in caplog.text
    np.testing.assert_allclose(divided.predict_proba(FACES), wanted.predict_proba(FACES), atol=1e-4)


def test_batch_normalization_forbids_to_divide_a_batch(fake_gpu):
    Memory.max_images = 3
    with pytest.raises(EngineError, match="not divided; set batch_size=4 and gradient_accumulation_steps=2"):
        fit_every_layer(backbone=Normalized())
    fit_every_layer(backbone=Normalized(), batch_size=3, gradient_accumulation_steps=2)


def test_other_errors_of_a_device_are_no_lack_of_memory(fake_gpu, monkeypatch):
    def fail(self, *args):
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(nn.Linear, "forward", fail)
    with pytest.raises(RuntimeError, match="device-side assert"):
        fit_model()
