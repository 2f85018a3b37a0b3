"""Several processes train the model that one would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from maskkit.testing import make_faces
from tests.helpers import World
from tests.training.fine_tuning import fit, tensors_of


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """What two processes of ``accelerate launch`` left in a folder, and what they printed."""
    folder = tmp_path_factory.mktemp("processes")
    # With --cpu, accelerate starts several processes through MPI only; what --multi_gpu starts finds no GPU.
    launch = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    options = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
    result = subprocess.run(
        [sys.executable, "-m", *launch, *options, "-m", "tests.training.fine_tuning", str(folder)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return folder, result.stderr


def test_two_processes_learn_as_well_as_one(launched):
    """They share each batch; batch normalization and dropout see a process's part of it, so weights differ a little."""
    folder, _ = launched
    alone = fit()
    losses = [record["validation_loss"] for record in alone.history_]
    np.testing.assert_allclose(np.load(folder / "history0.npy"), losses, atol=0.05)
    images = make_faces(8, random_state=1)[0]
    np.testing.assert_allclose(np.load(folder / "0.npy"), alone.predict_proba(images), atol=0.05)


def test_training_moved_the_weights_by_more_than_the_tolerance():
    first, last = tensors_of(fit(epochs=1)), tensors_of(fit())
    assert max(float((last[name] - first[name]).abs().max()) for name in first if "num_batches" not in name) > 1e-2


def test_all_processes_end_with_equal_weights_and_predict_alike(launched):
    folder, _ = launched
    assert (folder / "0.safetensors").read_bytes() == (folder / "1.safetensors").read_bytes()
    assert np.array_equal(np.load(folder / "0.npy"), np.load(folder / "1.npy"))
    assert np.array_equal(np.load(folder / "history0.npy"), np.load(folder / "history1.npy"))


def test_confusion_matrices_count_the_validation_images_of_all_processes(launched):
    folder, _ = launched
    ours, theirs = (np.load(folder / f"confusion{rank}.npy") for rank in (0, 1))
    assert np.array_equal(ours, theirs)
    assert ours.sum(axis=(1, 2)).tolist() == [15] * 3  # a quarter of 60


def test_only_the_main_process_prints(launched):
    _, printed = launched
    assert printed.count("epoch 1/3") == 1


def test_a_process_alone_joins_no_group(monkeypatch, capsys):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("accelerate.PartialState", None)  # would fail if called
    fit(epochs=1, verbose=1)
    assert "epoch 1/1" in capsys.readouterr().err
    assert not torch.distributed.is_initialized()


def test_processes_that_accelerate_does_not_see_are_told(monkeypatch):
    class Alone:
        num_processes = 1

        def __init__(self, cpu):
            pass

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.PartialState", Alone)
    with pytest.raises(RuntimeError, match="2 processes were launched, but accelerate finds 1; on CPUs set"):
        fit()


def test_shares_make_up_the_whole_and_differ_by_one_at_most():
    shares = [World(rank, 3).shard(np.arange(11)) for rank in range(3)]
    assert np.concatenate(shares).tolist() == list(range(11))
    assert sorted(map(len, shares)) == [3, 4, 4]


def test_batches_too_small_to_be_shared_are_refused(monkeypatch):
    monkeypatch.setattr("maskkit._model.plan.find_world", lambda: World(0, 4, torch.device("cpu")))
    monkeypatch.setattr(World, "check_equal", lambda self, description: None)
    monkeypatch.setattr(World, "broadcast", lambda self, value: value)
    with pytest.raises(ValueError, match="batches of 3 images cannot be shared by 4 processes; raise batch_size"):
        fit(batch_size=3)
