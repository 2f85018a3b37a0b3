"""Training measures the model on validation images after each epoch, and tells callbacks."""

import io
import json
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_score, recall_score
from sklearn.model_selection import cross_val_score

from maskkit import MaskClassifier, TransferHead
from maskkit.datasets import AnnotatedPhoto
from maskkit.exceptions import ModelFileError, OutputError, PluginError
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.helpers import Preprocess, TrainingProgress
from tests.training.fine_tuning import fit, tensors_of

# Small faces, some of which a model trained on large ones takes for others.
VALIDATION = make_faces(30, size_px=10, random_state=3)
FIELDS = {"loss", "accuracy", "confusion", "precision", "recall"}


@pytest.mark.parametrize("fine_tune", [False, True])
def test_last_record_is_what_the_model_says_of_the_validation_images(faces, fine_tune):
    params = {"fine_tune": fine_tune, "epochs": 4, "precision": "float32"}
    model = make_classifier(**params, validation_data=VALIDATION).fit(*faces)
    assert all({f"validation_{name}" for name in FIELDS} < set(record) for record in model.history_)
    last, predicted = model.history_[-1], model.predict(VALIDATION[0])
    assert last["validation_confusion"] == confusion_matrix(VALIDATION[1], predicted).tolist()
    assert last["validation_accuracy"] == pytest.approx(np.mean(predicted == VALIDATION[1]))
    for name, score in (("precision", precision_score), ("recall", recall_score)):
        wanted = score(VALIDATION[1], predicted, average=None, zero_division=np.nan)
        assert np.array(last[f"validation_{name}"], dtype=float) == pytest.approx(wanted, nan_ok=True)
    assert json.loads(json.dumps(model.history_)) == model.history_


def test_many_epochs_of_few_images_are_measured_ten_times(faces, monkeypatch):
    monkeypatch.setattr("maskkit._model.plan.MIN_STEPS", 25)
    model = make_classifier(fine_tune=True, validation_data=VALIDATION).fit(*faces)
    measured = [record["epoch"] for record in model.history_ if "validation_loss" in record]
    assert measured == [3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert len(model.history_) == 25
    assert model.history_.tables()
    assert model.history_._repr_html_()


@pytest.mark.parametrize("fine_tune", [False, True])
def test_watching_changes_no_weight(faces, fine_tune):
    params = {"fine_tune": fine_tune, "epochs": 4, "backbone": "timm:test_resnet", "image_size": 48}
    params |= {"class_weight": "balanced"}
    watched = make_classifier(**params, validation_data=VALIDATION).fit(*faces)
    plain = make_classifier(**params).fit(*faces)
    theirs = tensors_of(plain)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in tensors_of(watched).items())
    assert [record["loss"] for record in watched.history_] == [record["loss"] for record in plain.history_]


@pytest.mark.parametrize("fine_tune", [False, True])
def test_early_stopping_uses_them_and_trains_on_all_others(faces, fine_tune):
    head = TransferHead(patience=2)
    params = {"fine_tune": fine_tune, "epochs": 30, "learning_rate": 0.05, "early_stopping": True, "head": head}
    model = make_classifier(**params, validation_data=VALIDATION).fit(*faces)
    losses = [record["validation_loss"] for record in model.history_]
    assert sum(map(sum, model.history_[0]["validation_confusion"])) == 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2 or len(losses) == 30
    final = model.history_.final()
    assert final["validation_loss"] == min(losses)
    assert final["validation_confusion"] == confusion_matrix(VALIDATION[1], model.predict(VALIDATION[0])).tolist()


def test_faces_of_annotated_photos_validate(faces, tmp_path):
    photos = [AnnotatedPhoto(tmp_path / f"{index}.png", [(0, 0, 10, 10)], [label]) for index, label in enumerate("ab")]
    for photo, image in zip(photos, VALIDATION[0], strict=False):
        Image.fromarray(image).save(photo.path)
    labels = np.array(list("ab"))[(np.arange(40) % 2)]
    record = make_classifier(validation_data=photos).fit(faces[0], labels).history_[0]
    assert [sum(row) for row in record["validation_confusion"]] == [1, 1]


def test_labels_of_validation_may_be_spelled_differently(faces):
    spelled = [{"with_mask": "Masked", "without_mask": "WithoutMask"}[label] for label in VALIDATION[1]]
    params = {"epochs": 1, "class_weight": {"with_mask": 3, "without_mask": 1}}
    records = [
        make_classifier(**params, validation_data=(VALIDATION[0], labels)).fit(*faces).history_[0]
        for labels in (VALIDATION[1], spelled)
    ]
    assert records[0]["validation_confusion"] == records[1]["validation_confusion"]
    assert records[0]["validation_loss"] == records[1]["validation_loss"]


def test_classes_weigh_in_the_validation_loss_as_in_training_and_are_counted_one_by_one(faces):
    weights = {"with_mask": 3, "without_mask": 1}
    record = make_classifier(class_weight=weights, validation_data=VALIDATION, epochs=1).fit(*faces).history_[0]
    correct = np.diag(record["validation_confusion"])
    assert record["validation_accuracy"] == pytest.approx((3 * correct[0] + correct[1]) / (4 * 15))


def test_held_out_images_are_counted_too():
    record = fit(epochs=1).history_[0]
    assert sum(map(sum, record["validation_confusion"])) == 15  # a quarter of 60


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"validation_data": "faces"}, TypeError, r"validation_data is of type str; want a tuple of two, \(im"),
        ({"validation_data": VALIDATION[:1]}, TypeError, "validation_data is a tuple of 1; want a tuple of two"),
        ({"validation_data": (VALIDATION[0], ["with_mask"])}, ValueError, "validation_data: X has 30 images and y 1"),
        ({"validation_data": (VALIDATION[0], ["cat"] * 30)}, ValueError, "'cat', which is not a class of y"),
        ({"validation_data": (VALIDATION[0], [None] * 30)}, ValueError, r"validation_data: y\[0\] is None; want"),
        ({"validation_data": VALIDATION, "validation_fraction": 0.2}, ValueError, "exclude each other"),
        ({"validation_data": VALIDATION, "head": TransferHead(validation_fraction=0.2)}, ValueError, "exclude each"),
        (
            {"validation_data": VALIDATION, "head": LogisticRegression()},
            ValueError,
            "validation_data is for a Transfer",
        ),
        ({"callbacks": print, "head": LogisticRegression()}, ValueError, "callbacks is for a TransferHead; Logistic"),
        (
            {"callbacks": 3},
            PluginError,
            "callback 3 cannot be called in training; want the name of a reporter",
        ),
        ({"callbacks": dict}, PluginError, "callback <class 'dict'> cannot be called in training"),
        ({"callbacks": "json"}, PluginError, "callback 'json' cannot be called in training"),
        ({"callbacks": ["nonsense"]}, PluginError, "reporter 'nonsense' is unknown; installed: console"),
    ],
)
def test_wrong_parameters_are_named_before_anything_is_trained(faces, params, error, message):
    model = make_classifier(**params)
    with pytest.raises(error, match=message):
        model.fit(*faces)
    assert not hasattr(model, "head_")


def test_scikit_learn_copies_them(faces, tmp_path):
    model = make_classifier(validation_data=VALIDATION, epochs=2)
    assert len(cross_val_score(clone(model), *faces, cv=2)) == 2
    model.fit(*faces)
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.history_ == model.history_
    assert loaded.history_.tables()[0].rows == model.history_.tables()[0].rows
    np.testing.assert_array_equal(loaded.predict_proba(faces[0][:2]), model.predict_proba(faces[0][:2]))
    model.set_params(callbacks=print)
    model.predict(faces[0][:1])
    with pytest.raises(NotFittedError, match="validation_data was set to None after the fit"):
        model.set_params(validation_data=None).predict(faces[0][:1])


def test_saved_model_has_the_history_and_not_the_images(faces, tmp_path):
    params = {"backbone": "timm:test_resnet", "image_size": 48, "detector": "whole", "early_stopping": True}
    model = make_classifier(**params, validation_data=VALIDATION, epochs=3, callbacks=print).fit(*faces)
    folder = model.save(tmp_path / "model")
    loaded = MaskClassifier.load(folder)
    assert loaded.validation_data is loaded.callbacks is None
    assert loaded.history_ == model.history_
    assert loaded.history_.final() == model.history_.final()
    assert loaded.history_._repr_html_() == model.history_._repr_html_()
    (head,) = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| epoch")]
    assert head == "| epoch | loss | accuracy | validation loss | validation accuracy |"


def test_checkpoint_belongs_to_its_validation_images(tmp_path):
    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=tmp_path, validation_fraction=None, validation_data=VALIDATION, callbacks=stop)
    others = make_faces(30, size_px=10, random_state=4)
    for data, named in ((others, "other images"), (None, "other labels, weights of images, validation data, images")):
        with pytest.raises(ModelFileError, match=named):
            fit(checkpoint=tmp_path, validation_fraction=None, validation_data=data)
    records = []
    resumed = fit(checkpoint=tmp_path, validation_fraction=None, validation_data=VALIDATION, callbacks=records.append)
    assert [record["epoch"] for record in records] == [2, 3]
    whole = fit(validation_fraction=None, validation_data=VALIDATION)
    assert [r | {"images_per_second": 0} for r in resumed.history_] == [
        r | {"images_per_second": 0} for r in whole.history_
    ]


class Tracker:
    """A reporter of epochs."""

    def __init__(self):
        self.records = []

    def report_epoch(self, record):
        self.records.append(record)


@pytest.mark.parametrize("fine_tune", [False, True])
def test_callbacks_get_a_copy_of_each_record_and_the_classes(faces, fine_tune):
    tracker, records = Tracker(), []

    def spoil(record):
        records.append(dict(record))
        record.clear()

    model = make_classifier(fine_tune=fine_tune, epochs=3, callbacks=[spoil, tracker]).fit(*faces)
    extra = {"classes": ["with_mask", "without_mask"], "epochs": 3}
    assert tracker.records == records == [record | extra for record in model.history_]
    assert [record["epoch"] for record in records] == [1, 2, 3]


class Gallery:
    """A callback of images alone."""

    def report_images(self, images, labels):
        self.images, self.labels = images, labels


def test_callbacks_get_images_that_are_trained_on(faces, monkeypatch):
    seen = []
    normalize = Preprocess.normalize
    monkeypatch.setattr(
        Preprocess, "normalize", lambda self, images, device: seen.extend(images) or normalize(self, images, device)
    )
    gallery = Gallery()
    make_classifier(fine_tune=True, epochs=1, batch_size=20, augment="auto", callbacks=gallery).fit(*faces)
    assert gallery.images.shape == (24, *seen[0].shape)
    assert set(gallery.labels) == set(faces[1])
    assert {image.tobytes() for image in gallery.images} < {image.tobytes() for image in seen}


def test_callbacks_get_images_that_were_augmented_on_the_device(faces):
    gallery, same, plain = Gallery(), Gallery(), Gallery()
    for shown, augment in ((gallery, "device"), (same, "device"), (plain, None)):
        make_classifier(fine_tune=True, epochs=1, augment=augment, callbacks=shown).fit(*faces)
    assert gallery.images.dtype == np.uint8
    assert gallery.images.shape == plain.images.shape
    np.testing.assert_array_equal(gallery.images, same.images)
    assert {image.tobytes() for image in gallery.images}.isdisjoint(image.tobytes() for image in plain.images)


@pytest.mark.parametrize(("augment", "n_changed"), [("auto", 24), (None, 0)])
def test_callbacks_of_a_frozen_fit_get_the_augmented_copies(faces, augment, n_changed):
    gallery = Gallery()
    model = make_classifier(fine_tune=False, augment=augment, callbacks=[gallery]).fit(*faces)
    originals = {model.embedder_.preprocess_.load(image).tobytes() for image in faces[0]}
    assert sum(image.tobytes() not in originals for image in gallery.images) == n_changed
    assert sorted(gallery.labels) == ["with_mask"] * 12 + ["without_mask"] * 12


def test_callback_that_fails_on_images_is_named(faces):
    class Full:
        def report_images(self, images, labels):
            raise OSError("disk full")

    with pytest.raises(PluginError, match=r"callback Full: report_images\(\) failed \(OSError: disk full\)"):
        make_classifier(epochs=1, callbacks=Full()).fit(*faces)


def test_callback_that_fails_is_named_after_the_others_were_called_and_the_state_was_saved(tmp_path):
    def lose_the_line(record):
        raise OSError("no network")

    class Silent:
        def report_epoch(self, record):
            raise ValueError

    tracker = Tracker()
    with pytest.raises(PluginError, match=r"lose_the_line: the call failed \(OSError: no network\)") as caught:
        fit(checkpoint=tmp_path, callbacks=[lose_the_line, Silent(), tracker])
    assert [record["epoch"] for record in tracker.records] == [1]
    notes = " ".join(caught.value.__notes__)
    assert "callback Silent: report_epoch() failed (ValueError)" in notes
    assert "interrupted after 1 of 3 epochs, which are saved in" in notes
    assert len(fit(checkpoint=tmp_path).history_) == 3


def test_trackers_log_each_epoch_by_name(faces, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    model = make_classifier(epochs=2, validation_data=VALIDATION, callbacks="tensorboard:runs").fit(*faces)
    events = EventAccumulator("runs").Reload()
    assert {"loss", "validation_loss", "validation_recall/with_mask", "validation_recall_mean"} <= set(
        events.Tags()["scalars"]
    )
    assert [(event.step, event.value) for event in events.Scalars("validation_loss")] == [
        (record["epoch"], pytest.approx(record["validation_loss"])) for record in model.history_
    ]
    assert "validation_confusion/text_summary" in events.Tags()["tensors"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        make_classifier(callbacks="tensorboard:file").fit(*faces)


@pytest.mark.filterwarnings("ignore:.*deprecated since. 2.1")
def test_mlflow_logs_each_training_as_one_run(faces, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    from maskkit.reporters import MlflowReporter

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    model = make_classifier(epochs=2, validation_data=VALIDATION, callbacks=MlflowReporter(uri))
    for _ in range(2):
        model.fit(*faces)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("maskkit").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    logged = client.get_metric_history(runs[0].info.run_id, "validation_loss")
    assert [(metric.step, metric.value) for metric in logged] == [
        (record["epoch"], record["validation_loss"]) for record in model.history_
    ]
    assert [file.path for file in client.list_artifacts(runs[0].info.run_id, "validation_confusion")] == [
        f"validation_confusion/epoch_{epoch}.json" for epoch in (1, 2)
    ]


def test_lines_of_text_show_each_epoch_and_the_final_intervals(faces, capsys):
    model = make_classifier(epochs=2, validation_data=VALIDATION, verbose=1).fit(*faces)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert f"  validation confusion {model.history_[0]['validation_confusion']}  precision" in captured.err
    assert "Epoch 2, 30 validation images: accuracy" in captured.err
    assert max(map(len, lines[lines.index(next(line for line in lines if line.startswith("Epoch 2"))) :])) <= 80
    make_classifier(epochs=2, validation_data=VALIDATION).fit(*faces)
    assert capsys.readouterr().err == ""


def test_terminal_shows_the_matrix_of_each_epoch_and_then_that_of_the_model(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=terminal, force_terminal=True, width=80))
    classes = ["with_mask", "without_mask"]
    history = (
        TransferHead(early_stopping=True, epochs=3, random_state=0)
        .fit(np.random.default_rng(0).normal(size=(60, 3)), np.array(classes)[np.arange(60) % 2])
        .history_
    )
    with TrainingProgress(3, 8, 1, classes=classes) as progress:
        for record in history:
            progress.finish_epoch(record)
            progress._bar.refresh()
        progress.finish(history)
    shown = terminal.getvalue()
    places = [shown.index(f"Epoch {epoch}, 6 validation images: accuracy") for epoch in (1, 2, 3)]
    assert all(first < second for first, second in pairwise(places))
    final = shown.rindex("Confusion: rows are true classes")
    assert shown.rindex(f"Epoch {history.final()['epoch']:.0f}, 6 validation images") < final
    assert "[" in shown[places[-1] : final]


@pytest.mark.parametrize("has_widgets", [False, True])
def test_notebook_without_widgets_shows_lines(monkeypatch, has_widgets):
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=io.StringIO(), force_jupyter=True, width=80))
    monkeypatch.setattr("maskkit._training.progress.find_spec", lambda name: object() if has_widgets else None)
    monkeypatch.setattr("rich.progress.Progress.start", lambda self: None)
    with TrainingProgress(1, 8, 1) as progress:
        assert (progress._bar is not None) == has_widgets
