"""Choice of devices, on any machine: what CUDA and MPS would say is replaced."""

import pickle
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskkit import MaskClassifier, _images, _model, _training, engines
from maskkit._batch import cluster
from maskkit.exceptions import EngineError
from tests.conftest import find_gpu

fine_tuning, fitted_backbone = _model.fine_tuning, _model.fitted_backbone
prefetch, preprocess, distributed = _images.prefetch, _images.preprocess, _training.distributed

computes = engines._devices._computes.__wrapped__

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpus(monkeypatch):
    """Let PyTorch find four CUDA devices, which compute; starting the driver is an error."""

    def start():
        raise AssertionError("the driver is started")

    for name in engines._devices._LOCAL_RANKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engines._devices, "find_gpu", find_gpu)
    monkeypatch.setattr(engines._devices, "_computes", lambda gpu: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", start)
    monkeypatch.setattr(torch.cuda, "current_device", start)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)


def test_auto_is_the_cpu_in_tests(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert engines._devices.resolve_device("auto").type == "cpu"


def test_a_gpu_has_a_number_and_is_found_without_its_driver(gpus):
    for device in ("auto", "cuda"):
        assert engines._devices.resolve_device(device) == GPU
    assert engines._devices.resolve_device("cuda:3").index == 3
    with pytest.raises(ValueError, match="device='cuda:4' is not available"):
        engines._devices.resolve_device("cuda:4")


@pytest.mark.parametrize(
    ("free_gb", "image_size", "n_images"), [(0.1, 224, 32), (8, 224, 64), (8, 160, 128), (80, 224, 256), (80, 32, 256)]
)
def test_batches_are_as_large_as_the_free_memory_of_a_gpu(monkeypatch, free_gb, image_size, n_images):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free_gb * 1e9), 80 * 10**9))
    assert engines._devices.choose_batch_size(GPU, image_size) == n_images
    assert engines._devices.choose_batch_size(torch.device("cpu"), image_size) == 32


def test_no_gpu_is_counted_for_the_cpu(gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", None)
    assert engines._devices.resolve_device("cpu").type == "cpu"


def test_a_process_that_only_loads_a_model_can_be_forked(savable, tmp_path, monkeypatch):
    folder = savable.save(tmp_path / "model")
    monkeypatch.setattr(engines._devices, "find_gpu", None)
    model = MaskClassifier.load(folder)
    assert model.device == "auto"
    assert pickle.loads(pickle.dumps(model.predictor_)).model_sha256 == model.predictor_.model_sha256


def test_the_current_gpu_is_that_of_the_thread_or_of_the_launched_process(gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "6")
    assert engines._devices.resolve_device("auto").index == 2
    monkeypatch.setenv("LOCAL_RANK", "-1")
    assert engines._devices.resolve_device("auto").index == 0
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert engines._devices.resolve_device("cuda").index == 3


@pytest.mark.parametrize("has_mps", [False, True])
def test_a_gpu_without_kernels_is_left_alone(gpus, monkeypatch, has_mps):
    monkeypatch.setattr(engines._devices, "_computes", cache(computes))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)

    def zeros(*args, device=None):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nMore lines.")

    monkeypatch.setattr(torch, "zeros", zeros)
    message = r"cuda:0 cannot be used \(CUDA error: no kernel image is available for execution on the device\)"
    with pytest.warns(UserWarning, match=message):
        assert engines._devices.resolve_device("auto").type == ("mps" if has_mps else "cpu")
    assert engines._devices.resolve_device("auto").type == ("mps" if has_mps else "cpu")  # and warns once


def test_other_accelerators_are_never_chosen(monkeypatch):
    monkeypatch.setattr(engines._devices, "find_gpu", find_gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert engines._devices.resolve_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="device='xpu' is not available"):
        engines._devices.resolve_device("xpu")
    seen = []

    def join(cpu):
        seen.append(cpu)
        return SimpleNamespace(num_processes=2, process_index=1, device=torch.device("cpu"))

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.PartialState", join)
    assert distributed.find_world() == distributed.World(1, 2, torch.device("cpu"))
    assert seen == [True]


def test_a_forked_process_says_why_it_cannot_compute(gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    for device in ("auto", "cuda", "cuda:1"):
        with pytest.raises(EngineError, match=r"in a process that was forked .* 'spawn' or 'forkserver'"):
            engines._devices.resolve_device(device)
    assert engines._devices.resolve_device("cpu").type == "cpu"


def test_a_process_takes_the_device_that_its_launcher_assigned(gpus):
    second = distributed.World(1, 2, torch.device("cuda", 1))
    for device in ("auto", "cuda:1"):
        assert fine_tuning._choose_device(device, second) == second.device
    for device in ("cuda:0", "cpu"):
        message = f"device='{device}' is not 'cuda:1', which was assigned to process 1 of 2; use device='auto'"
        with pytest.raises(ValueError, match=message):
            fine_tuning._choose_device(device, second)
    with pytest.raises(ValueError, match="device='cuda' is not 'cpu'"):
        fine_tuning._choose_device("cuda", distributed.World(0, 2, torch.device("cpu")))
    assert fine_tuning._choose_device("cpu", distributed.World(0, 2, torch.device("cpu"))).type == "cpu"
    assert fine_tuning._choose_device("cuda:2", distributed.World()).index == 2


def predictor(network, detector):
    settings = fitted_backbone.ComputeSettings(device=network)
    return SimpleNamespace(embedder=SimpleNamespace(settings=settings), detector=SimpleNamespace(device=detector))


@pytest.mark.parametrize(
    ("network", "detector", "n_gpus", "wanted"),
    [("auto", "auto", 0, False), ("auto", "auto", 2, True), ("cpu", "cpu", 2, False), ("cuda", "auto", 2, True),
     ("cpu", "cuda:1", 2, True)],
)  # fmt: skip
def test_workers_take_gpus_of_the_cluster(network, detector, n_gpus, wanted):
    assert cluster._uses_gpus(predictor(network, detector), n_gpus) is wanted


@pytest.mark.parametrize(("network", "detector"), [("cuda:1", "auto"), ("auto", "cuda:1")])
def test_a_cluster_without_a_gpu_is_an_error(network, detector):
    with pytest.raises(EngineError, match="device='cuda:1' needs a GPU, and the Ray cluster has none"):
        cluster._uses_gpus(predictor(network, detector), 0)


def test_a_worker_counts_its_own_gpu_only(savable):
    mine = savable.predictor_
    settings = fitted_backbone.ComputeSettings(device="cuda:1")
    given = cluster.replace(mine, embedder=cluster.replace(mine.embedder, settings=settings))
    assert cluster._use_own_gpu(given).embedder.settings.device == "cuda"
    assert cluster._use_own_gpu(mine) is mine


@pytest.mark.parametrize(
    ("n_cores", "n_gpus", "n_workers", "wanted"),
    [([16], [2], None, (2, 8)), ([16], [2], 9, (2, 8)), ([32, 4, 64], [1, 4, 0], None, (5, 1)), ([8], [2], 1, (1, 8))],
)
def test_no_worker_waits_for_a_gpu(n_cores, n_gpus, n_workers, wanted):
    assert cluster.divide_cores(n_cores, n_workers, 99, n_gpus) == wanted


def test_float32_on_cuda_is_exact_and_repeatable(monkeypatch):
    def state():
        return torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled

    before = state()
    first, second = engines._devices.exact(GPU), engines._devices.exact(GPU)
    with first:
        assert state() == (True, False, before[2])
        second.__enter__()
    assert state() == (True, False, before[2])  # the other thread is still inside
    second.__exit__(None, None, None)
    assert state() == before
    with engines._devices.exact(torch.device("cpu")):
        assert state() == before


def test_features_of_one_precision_are_not_those_of_another(monkeypatch, savable):
    backbone, keys = savable.embedder_._fitted, set()
    for is_fast in (False, True):
        monkeypatch.setattr(engines._devices, "has_fast_bfloat16", lambda device, is_fast=is_fast: is_fast)
        keys.add(backbone.cache_key(fitted_backbone.ComputeSettings(device="cpu")))
    assert len(keys) == 2


def test_mps_computes_without_channels_last():
    assert preprocess.memory_format(torch.device("mps")) is torch.contiguous_format
    assert preprocess.memory_format(GPU) is preprocess.memory_format(torch.device("cpu")) is torch.channels_last


def test_pixels_have_the_memory_format_of_the_device(monkeypatch):
    resizing, pixels = preprocess.Preprocess(8, (0.5,) * 3, (0.5,) * 3), np.zeros((2, 8, 8, 3), np.uint8)
    cpu = torch.device("cpu")
    assert resizing.normalize(pixels, cpu).is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr("maskkit._images.preprocess.memory_format", lambda device: torch.contiguous_format)
    assert resizing.normalize(pixels, cpu).is_contiguous()


def test_a_checkpoint_names_the_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert engines._devices.describe_device(GPU) == "Card 0"
    assert engines._devices.describe_device(torch.device("mps")) == "mps"


def test_threads_are_those_of_the_container_and_the_launched_process(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    for n_processes, wanted in (("1", 6), ("4", 1), ("9", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", n_processes)
        assert prefetch._count_cores.__wrapped__() == wanted
