"""What holds on a real device: pytest -m gpu."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score

from maskkit import FaceEmbedder, MaskClassifier, TransferHead, engines, explain, export
from maskkit.testing import FixedDetector, make_faces
from tests.helpers import N_DRAWS, augment_faces

pytestmark = pytest.mark.gpu

FACES, LABELS = make_faces(48, random_state=0)
OTHERS, _ = make_faces(64, random_state=1)
EVERY_LAYER = {"fine_tune": True, "epochs": 2, "batch_size": 16}
ON_DEVICE = EVERY_LAYER | {"augment": "device"}
FROZEN = {"fine_tune": False}


@pytest.fixture
def cuda(gpu):
    if gpu != "cuda":
        pytest.skip("no CUDA device")


def make_model(device, **params):
    given = {"backbone": "resnet50", "weights": None, "image_size": 64, "device": device, "engine": "torch",
             "detector": FixedDetector([[0, 0, 64, 64]]), "cache": None, "random_state": 0}  # fmt: skip
    return MaskClassifier(**given | params)


@pytest.fixture(scope="module")
def fitted(gpu):
    """A model whose head was trained on features of the device. Tests leave its device as it is."""
    return make_model(gpu, **FROZEN).fit(FACES, LABELS)


def assert_equal_weights(one, other):
    parts = [(model.embedder_.network_, model.head_.network_) for model in (one, other)]
    for network, same in zip(*parts, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value.cpu(), same.state_dict()[name].cpu()), name


def compute_features(device, precision, images=OTHERS, **params):
    given = {"weights": None, "image_size": 96, "engine": "torch", "cache": None, "random_state": 0}
    embedder = FaceEmbedder("resnet50", device=device, precision=precision, **given | params)
    return embedder.fit(images).transform(images)


def relative_error(got, wanted):
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def test_auto_is_the_device_with_its_number(gpu):
    device = engines._devices.resolve_device("auto")
    assert device.type == gpu
    assert device.type != "cuda" or device.index is not None


def test_a_model_predicts_on_the_current_device_of_several(cuda):
    if torch.cuda.device_count() < 2:
        pytest.skip("no second CUDA device")
    with torch.cuda.device(1):
        model = make_model("auto", **FROZEN).fit(FACES, LABELS)
        assert model.predict(OTHERS).shape == (64,)
        assert model.embedder_.engine_.device.index == 1


def test_a_head_learns_what_it_learns_on_the_cpu(gpu):
    table = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    labels = (table[:, 0] + table[:, 1] > 0).astype(int)
    heads = (TransferHead(dropout=0.0, device=device, random_state=0).fit(table, labels) for device in (gpu, "cpu"))
    there, here = (head.predict_proba(table) for head in heads)
    np.testing.assert_allclose(there, here, atol=5e-3)


def test_a_frozen_backbone_gives_the_labels_of_the_cpu(fitted):
    here = make_model("cpu", precision="float32", **FROZEN).fit(FACES, LABELS)
    # Random weights tell little, and the head may have learned from bfloat16.
    assert (fitted.predict(OTHERS) == here.predict(OTHERS)).mean() >= 0.9


@pytest.mark.parametrize("precision", ["auto", "float32", "float16"])
def test_every_layer_learns_and_warns_of_nothing(gpu, precision):
    if precision == "float16" and gpu == "cpu":
        pytest.skip("no float16 on a CPU")
    small = {"backbone": "timm:test_resnet", "image_size": 48, "epochs": 8, "learning_rate": 1e-3, "augment": None}
    model = make_model(gpu, precision=precision, **EVERY_LAYER | small).fit(FACES, LABELS)
    losses = [record["loss"] for record in model.history_]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]


def test_images_augmented_there_are_those_of_the_cpu(gpu):
    draws = np.random.default_rng(0).random((48, N_DRAWS))
    there, here = (augment_faces(FACES, draws, 64, torch.device(device)).cpu() for device in (gpu, "cpu"))
    # Where a coefficient of JPEG lies between two values, a pixel may differ.
    assert (there - here).abs().mean() < 0.05


def test_random_numbers_of_the_device_are_given_back(gpu):
    module = torch if gpu == "cpu" else torch.get_device_module(gpu)
    before = module.get_rng_state()
    make_model(gpu, **EVERY_LAYER).fit(FACES, LABELS)
    assert torch.equal(before, module.get_rng_state())


@pytest.mark.parametrize(
    "params", [FROZEN, EVERY_LAYER, ON_DEVICE], ids=["frozen", "every layer", "augmented on the device"]
)
def test_two_fits_are_equal_bit_for_bit(gpu, params):
    assert_equal_weights(*(make_model(gpu, **params).fit(FACES, LABELS) for _ in range(2)))


def test_an_interrupted_training_ends_alike_bit_for_bit(gpu, tmp_path):
    def stop(record):
        raise KeyboardInterrupt

    whole = make_model(gpu, **EVERY_LAYER).fit(FACES, LABELS)
    with pytest.raises(KeyboardInterrupt):
        make_model(gpu, checkpoint=tmp_path / "kept", callbacks=[stop], **EVERY_LAYER).fit(FACES, LABELS)
    assert_equal_weights(whole, make_model(gpu, checkpoint=tmp_path / "kept", **EVERY_LAYER).fit(FACES, LABELS))


def test_a_model_predicts_after_it_was_handed_about(fitted, tmp_path):
    wanted = fitted.predict_proba(OTHERS)
    opened, copied = pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)
    export(fitted, tmp_path / "exported", output_format="openvino")
    for each in (fitted, opened, copied):
        np.testing.assert_allclose(each.predict_proba(OTHERS), wanted, atol=1e-3)


def test_a_model_moves_to_the_cpu_and_back(fitted, gpu):
    wanted = fitted.predict(OTHERS)
    for device in ("cpu", gpu, "cpu", gpu):
        assert (fitted.set_params(device=device).predict(OTHERS) == wanted).mean() >= 0.97


def test_a_pickle_opens_where_there_is_no_gpu(fitted, tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted))
    code = (
        "import pickle, sys; from maskkit.testing import make_faces; model = pickle.load(open(sys.argv[1], 'rb')); "
        "print(len(model.set_params(device='cpu').predict(make_faces(8)[0])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.pkl"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "8", done.stderr


def test_a_model_saved_there_loads_here(gpu, tmp_path):
    parts = {"backbone": "timm:test_resnet", "image_size": 48, "detector": "whole"}
    there = make_model(gpu, **parts, **FROZEN).fit(FACES, LABELS)
    here = MaskClassifier.load(there.save(tmp_path / "model"), device="cpu", precision="float32")
    assert (there.predict(OTHERS) == here.predict(OTHERS)).mean() >= 0.97


def test_heat_maps_are_those_of_the_cpu(gpu):
    model = make_model(gpu, precision="float32", **FROZEN).fit(FACES, LABELS)
    heat = explain(model, OTHERS[0]).heat
    assert np.abs(explain(model.set_params(device="cpu"), OTHERS[0]).heat - heat).max() < 0.05


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("float16", 1e-2), ("bfloat16", 3e-2)])
def test_features_are_as_exact_as_their_precision(gpu, precision, tolerance):
    """TF32 alone would be off by 3e-4."""
    if precision == "float16" and gpu == "cpu":
        pytest.skip("no float16 on a CPU")
    assert relative_error(compute_features(gpu, precision), compute_features("cpu", "float32")) < tolerance


def test_labels_are_those_of_float32(gpu):
    parts = {"engine": "torch", "detector": "whole", "cache": None}
    there = MaskClassifier.from_pretrained(device=gpu, **parts)
    here = MaskClassifier.from_pretrained(device="cpu", precision="float32", **parts)
    assert (there.predict(OTHERS) == here.predict(OTHERS)).all()


def test_an_image_has_the_same_features_in_any_batch(gpu):
    alone, together = (compute_features(gpu, "float32", OTHERS[:33], batch_size=size) for size in (1, 32))
    assert relative_error(together, alone) < 2e-5


def test_threads_predict_alike(fitted):
    wanted, got = fitted.predict_proba(OTHERS), {}
    threads = [threading.Thread(target=lambda n=n: got.update({n: fitted.predict_proba(OTHERS)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 4
    for proba in got.values():
        np.testing.assert_allclose(proba, wanted, atol=1e-3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_says_what_is_wrong_or_predicts(fitted):
    fitted.predict(OTHERS[:2])
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks in processes with threads
        child = os.fork()
    if child == 0:
        try:
            text = f"labels {len(fitted.predict(OTHERS[:4]))}"
        except BaseException as exc:
            text = f"{type(exc).__module__}.{type(exc).__name__}: {exc}"
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    got = os.read(reading, 4000).decode()
    os.waitpid(child, 0)
    assert got == "labels 4" or got.startswith("maskkit."), got


def test_two_processes_share_the_device(gpu):
    scores = [cross_val_score(make_model(gpu, **FROZEN), FACES, LABELS, cv=2, n_jobs=n_jobs) for n_jobs in (1, 2)]
    np.testing.assert_allclose(*scores, atol=0.05)


def test_photos_are_searched_and_classified_there(gpu):
    model = MaskClassifier.from_pretrained(device=gpu, engine="torch", cache=None)
    results = list(model.predict_photos([np.zeros((300, 400, 3), np.uint8)] * 3))
    assert [result.error for result in results] == [None] * 3


def test_memory_does_not_grow(cuda, fitted):
    fitted.predict(OTHERS)
    before = torch.cuda.memory_allocated()
    for _ in range(5):
        fitted.predict(OTHERS)
    assert torch.cuda.memory_allocated() - before < 1_000_000


def test_training_at_160_px_fits_the_memory_of_a_laptop(cuda):
    torch.cuda.reset_peak_memory_stats()
    make_model("cuda", **EVERY_LAYER | {"image_size": 160, "batch_size": 32}).fit(FACES, LABELS)
    assert torch.cuda.max_memory_allocated() < 3.5e9


@pytest.fixture
def little_memory(cuda):
    """1.5 GB of memory."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.5e9 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_the_batch_that_is_chosen_fits(little_memory, caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_500_000_000, 1_500_000_000))
    assert compute_features("cuda", "float32", OTHERS * 8, image_size=224).shape == (8 * len(OTHERS), 2048)
    assert "is out of memory" not in caplog.text


def test_a_batch_that_does_not_fit_is_halved(little_memory, caplog):
    many = OTHERS * 64
    assert compute_features("cuda", "auto", many, batch_size=4096, image_size=224).shape == (len(many), 2048)
    assert "is out of memory; batches have" in caplog.text


@pytest.mark.parametrize("params", [EVERY_LAYER, ON_DEVICE], ids=["augmented on the CPU", "on the device"])
def test_no_step_of_training_waits_for_the_device(cuda, monkeypatch, params):
    monkeypatch.setattr("maskkit._training.trainer._READ_INTERVAL_S", np.inf)
    make_model("cuda", **params).fit(FACES, LABELS)  # The first use of a library waits, too.
    n_waits = []
    for epochs in (2, 6):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                make_model("cuda", **params | {"epochs": epochs, "batch_size": 8}).fit(FACES, LABELS)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        n_waits.append(sum("synchronizing" in str(one.message) for one in caught))
    # An epoch of six steps waits for its loss and for the check of the weights.
    assert n_waits[1] - n_waits[0] <= 4 * 2
