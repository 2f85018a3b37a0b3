"""A fit that was interrupted goes on where it stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import maskkit
from maskkit import TransferHead
from maskkit.exceptions import ModelFileError, OutputError
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.helpers import TrainingProgress
from tests.training.fine_tuning import fit, make_model, tensors_of

CHECKPOINT_FILE = "checkpoint.pt"


class InterruptionError(Exception):
    """What comes between."""


@pytest.fixture
def watch(monkeypatch):
    """Stop fits at the end of an epoch, before its state is written; gives the list of epochs done."""

    def watch(stop=None):
        done = []

        def finish_epoch(self, record):
            if record["epoch"] == stop:
                raise InterruptionError
            done.append(record["epoch"])

        monkeypatch.setattr(TrainingProgress, "finish_epoch", finish_epoch)
        return done

    return watch


@pytest.fixture
def interrupted(watch, tmp_path):
    """The folder of a fit that was stopped in its second epoch."""
    watch(stop=2)
    with pytest.raises(InterruptionError):
        fit(checkpoint=tmp_path / "state")
    watch()
    return tmp_path / "state"


def assert_same(model, other):
    ours, theirs = tensors_of(model), tensors_of(other)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    histories = [[record | {"images_per_second": 0} for record in fitted.history_] for fitted in (model, other)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"gradient_accumulation_steps": 2, "precision": "bfloat16", "early_stopping": False},
        {"epochs": 6, "learning_rate": 0.05, "head": TransferHead(patience=2)},
        {"augment": "device"},
    ],
)
def test_interrupted_fit_ends_with_the_same_model(watch, tmp_path, params):
    epochs = watch()
    whole = fit(**params)
    for stop in (2, 3):
        watch(stop)
        with pytest.raises(InterruptionError):
            fit(checkpoint=tmp_path / "state", **params)
    resumed_epochs = watch()
    resumed = fit(checkpoint=tmp_path / "state", **params)
    assert resumed_epochs == epochs[2:] != []
    assert_same(resumed, whole)
    assert not (tmp_path / "state").exists()


def test_killed_process_leaves_a_checkpoint_to_go_on_from(tmp_path):
    code = (
        "import os, signal\n"
        "from maskkit._training.progress import TrainingProgress\n"
        "from tests.training.fine_tuning import fit\n"
        "def die(self, record):\n"
        "    if record['epoch'] == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "TrainingProgress.finish_epoch = die\n"
        f"fit(checkpoint={str(tmp_path)!r})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        timeout=120,
    )
    assert result.returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT_FILE, f"{CHECKPOINT_FILE}.lock"]
    assert_same(fit(checkpoint=tmp_path), fit())


def test_without_random_state_the_seed_is_kept(watch, tmp_path):
    watch(stop=2)
    with pytest.raises(InterruptionError):
        fit(checkpoint=tmp_path, random_state=None)
    assert watch() == []
    epochs = watch()
    fit(checkpoint=tmp_path, random_state=None)
    assert epochs == [2, 3]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"epochs": 4}, "other epochs"),
        ({"learning_rate": 2e-3}, "other learning_rate"),
        ({"random_state": 1}, "other seed, initial network"),
        ({"augment": None}, "other augment, painting"),
        ({"augment": "device"}, "other augment"),
        ({"head": TransferHead(dropout=0.5)}, "other initial network"),
        ({"class_weight": {"with_mask": 2, "without_mask": 1}}, "other weights of images"),
    ],
)
def test_checkpoint_of_other_parameters_is_refused(interrupted, params, named):
    with pytest.raises(ModelFileError, match=rf"of another fit \({named}\); repeat that fit, or delete the file"):
        fit(checkpoint=interrupted, **params)


def test_checkpoint_of_other_images_is_refused(interrupted):
    images, labels = make_faces(60)
    images[7] = 255 - images[7]
    model = make_model(checkpoint=interrupted)
    with pytest.raises(ModelFileError, match=r"of another fit \(other images\)"):
        model.fit(images, labels, sample_weight=np.linspace(0.5, 2, len(labels)))


def test_checkpoint_of_another_version_is_refused(interrupted):
    saved = torch.load(interrupted / CHECKPOINT_FILE, weights_only=True)
    assert saved["purpose"]["version of maskkit"] == maskkit.__version__
    saved["purpose"]["version of maskkit"] = "9.9"
    torch.save(saved, interrupted / CHECKPOINT_FILE)
    with pytest.raises(ModelFileError, match=r"other version of maskkit\); repeat that fit"):
        fit(checkpoint=interrupted)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_damaged_checkpoint_is_refused(interrupted, content):
    file = interrupted / CHECKPOINT_FILE
    file.write_bytes(file.read_bytes()[:-2000] if content is None else content)
    with pytest.raises(ModelFileError, match=r"is not a readable checkpoint .* delete it to start again"):
        fit(checkpoint=interrupted)


def test_other_state_dict_is_no_checkpoint(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(ModelFileError, match="it has other content"):
        fit(checkpoint=tmp_path)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"purpose": Trap()}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(ModelFileError):
        fit(checkpoint=tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_finished_fit_takes_away_its_checkpoint_and_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path, tmp_path / "mine", tmp_path / "made"):
        fit(checkpoint=folder, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "notes.txt"]
    assert not list((tmp_path / "mine").iterdir())


def test_second_fit_into_a_folder_is_refused(tmp_path):
    refused = []

    def start_another(record):
        with pytest.raises(OutputError, match="state: another run is writing to this folder; wait for it"):
            fit(checkpoint=tmp_path / "state")
        refused.append(record["epoch"])

    fit(checkpoint=tmp_path / "state", epochs=2, callbacks=start_another)
    assert refused == [1, 2]
    assert not list(tmp_path.iterdir())


def test_checkpoint_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="file: is a file; checkpoint wants a folder"):
        fit(checkpoint=tmp_path / "file", epochs=1)
    with pytest.raises(ModelFileError, match="cannot be written"):
        fit(checkpoint=tmp_path / "file" / "folder", epochs=1)


def test_frozen_backbone_takes_no_checkpoint(faces, tmp_path):
    with pytest.raises(ValueError, match="checkpoint is for fine_tune=True"):
        make_classifier(fine_tune=False, checkpoint=tmp_path).fit(*faces)
    with pytest.raises(TypeError, match="checkpoint=3 is not a path"):
        make_classifier(fine_tune=True, checkpoint=3).fit(*faces)
