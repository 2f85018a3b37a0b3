"""TransferHead keeps scikit-learn's contract and learns."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from maskkit import TransferHead
from tests.helpers import TrainingProgress

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "mini-batches and dropout: a row given twice meets other masks and other batches than one of weight two"
    )
}


@parametrize_with_checks([TransferHead(random_state=0)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_scikit_learn_battery(estimator, check):
    check(estimator)


def test_battery_is_not_vacuous():
    checks = list(estimator_checks_generator(TransferHead()))
    assert len(checks) >= 60
    assert len(EXPECTED_FAILURES) == 1


@pytest.fixture(scope="module")
def cancer():
    return train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)


def test_learns_a_real_table_whatever_its_scales(cancer):
    train, test, train_labels, test_labels = cancer
    head = TransferHead(random_state=0).fit(train, train_labels)
    assert head.score(test, test_labels) > 0.93
    rescaled = TransferHead(random_state=0).fit(train * 1000 + 5000, train_labels)
    assert rescaled.score(test * 1000 + 5000, test_labels) > 0.93


def test_network_has_the_layers_of_the_origin():
    head = TransferHead().fit(np.eye(8).repeat(3, axis=0), [0, 1] * 12)
    kinds = [type(layer).__name__ for layer in head.network_]
    assert kinds == ["Dropout", "Linear", "Dropout", "Linear"]
    assert [head.network_[0].p, head.network_[2].p] == [0.2, 0.2]
    assert head.network_[1].weight.shape == (300, 8)
    assert head.network_[3].weight.shape == (2, 300)


def test_probabilities_are_the_softmax_of_the_network(cancer):
    train, test, train_labels, _ = cancer
    head = TransferHead(random_state=0).fit(train, train_labels)
    with torch.inference_mode():
        logits = copy.deepcopy(head.network_).double()(torch.tensor(test, dtype=torch.float32).double())
    np.testing.assert_allclose(head.predict_proba(test), torch.softmax(logits, 1).numpy(), rtol=1e-9)


def test_same_seed_gives_the_same_weights_and_leaves_global_randomness_alone(cancer):
    train, _, train_labels, _ = cancer
    before = torch.get_rng_state()
    first = TransferHead(random_state=3, epochs=3).fit(train, train_labels)
    torch.rand(5)
    second = TransferHead(random_state=3, epochs=3).fit(train, train_labels)
    other = TransferHead(random_state=4, epochs=3).fit(train, train_labels)
    for one, two in zip(first.network_.parameters(), second.network_.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.network_[1].weight, other.network_[1].weight)
    torch.set_rng_state(before)


def test_early_stopping_restores_the_best_epoch(cancer):
    train, _, train_labels, _ = cancer
    noisy = np.where(np.random.default_rng(0).random(len(train_labels)) < 0.3, 1 - train_labels, train_labels)
    head = TransferHead(
        early_stopping=True, validation_fraction=0.3, patience=3, epochs=60, learning_rate=0.02, random_state=0
    ).fit(train, noisy)
    losses = [record["validation_loss"] for record in head.history_]
    assert len(losses) < 60
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    held_out_loss = _validation_loss(head, train, noisy)
    assert held_out_loss == pytest.approx(min(losses), rel=1e-4)


def _validation_loss(head, X, y):
    from sklearn.metrics import log_loss
    from sklearn.utils import check_random_state

    seed = int(check_random_state(head.random_state).randint(2**31 - 1))
    _, held_out = train_test_split(np.arange(len(y)), test_size=head.validation_fraction, stratify=y, random_state=seed)
    return log_loss(y[held_out], head.predict_proba(X[held_out]))


def test_history_keeps_every_epoch(cancer):
    train, _, train_labels, _ = cancer
    head = TransferHead(epochs=4, random_state=0).fit(train, train_labels)
    assert [record["epoch"] for record in head.history_] == [1, 2, 3, 4]
    assert set(head.history_[0]) == {"epoch", "loss", "accuracy", "images_per_second"}
    assert head.history_[-1]["loss"] < head.history_[0]["loss"]


def test_class_weight_moves_the_decision():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (180, 2)), rng.normal(1, 1, (20, 2))])
    y = np.array(["common"] * 180 + ["rare"] * 20)
    plain = TransferHead(random_state=0).fit(X, y)
    balanced = TransferHead(class_weight="balanced", random_state=0).fit(X, y)
    assert (balanced.predict(X) == "rare").sum() > (plain.predict(X) == "rare").sum()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 3, r"sample_weight has shape \(3,\); want \(4,\)"),
        ([1, -1, 1, 1], "NaN, infinite or negative"),
        ([1, np.nan, 1, 1], "NaN, infinite or negative"),
        ([1, 0, 1, 0], "only one class has a sample_weight above zero"),
    ],
)
def test_wrong_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        TransferHead().fit(np.eye(4), ["a", "b", "a", "b"], sample_weight=weights)


def test_one_class_is_named():
    with pytest.raises(ValueError, match=r"y holds 1 class, .*'mask'.*; want two or more"):
        TransferHead().fit(np.eye(3), ["mask"] * 3)


def test_pickle_predicts_alike(cancer):
    train, test, train_labels, _ = cancer
    head = TransferHead(epochs=2, random_state=0).fit(train, train_labels)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(head)).predict_proba(test), head.predict_proba(test))


def test_progress_goes_to_standard_error_a_line_an_epoch(cancer, capsys):
    train, _, train_labels, _ = cancer
    TransferHead(epochs=2, verbose=1, random_state=0).fit(train, train_labels)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    assert lines[0].endswith("feature vectors/s")


def test_progress_of_many_epochs_is_ten_lines_and_the_last(capsys):
    def lines(n_done):
        with TrainingProgress(40, 8, verbose=1) as progress:
            for epoch in range(1, n_done + 1):
                progress.finish_epoch({"epoch": epoch, "loss": 0.5, "accuracy": 0.5, "images_per_second": 1.0})
        return [line.split("/")[0] for line in capsys.readouterr().err.splitlines()]

    assert lines(40) == [f"epoch {epoch}" for epoch in range(4, 41, 4)]
    assert lines(10) == ["epoch 4", "epoch 8", "epoch 10"]


def test_classifier_prepares_the_weights_of_its_head_once(fitted, faces, monkeypatch):
    """Not for each batch, because that takes longer than to classify a few faces."""
    prepared, freeze = [], TransferHead._freeze
    monkeypatch.setattr(TransferHead, "_freeze", lambda head: prepared.append(head) or freeze(head))
    predictor = fitted.predictor_
    proba = np.concatenate([predictor.predict_proba([image]) for image in faces[0][:3]])
    assert len(prepared) == 1
    np.testing.assert_allclose(proba, fitted.predict_proba(faces[0][:3]), atol=1e-6)
