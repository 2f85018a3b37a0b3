"""The learning rate range test measures, suggests and changes nothing."""

import numpy as np
import pytest

from maskkit import LearningRates, MaskClassifier, find_learning_rate
from maskkit.exceptions import NotFiniteError
from tests.training.fine_tuning import make_model

N_STEPS = 30


def test_the_loss_falls_at_useful_rates_and_the_classifier_does_not_change(faces):
    model = make_model()
    before = repr(model.get_params())
    found = find_learning_rate(model, *faces, n_steps=N_STEPS)
    assert found.losses.shape == found.rates.shape
    assert found.rates[0] == pytest.approx(1e-6)
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 1e5 ** (1 / (N_STEPS - 1)))
    # The last layer starts at zero, so that both classes are equally probable.
    assert found.losses[0] == pytest.approx(np.log(2), abs=0.02)
    assert found.losses.min() < 0.6
    assert found.rates[0] < found.suggested < found.rates[-1]
    assert repr(model.get_params()) == before
    assert not hasattr(model, "head_")
    again = find_learning_rate(model, *faces, n_steps=N_STEPS)
    np.testing.assert_array_equal(again.losses, found.losses)


def test_a_model_that_goes_on_starts_from_its_weights(faces):
    model = make_model(epochs=30, learning_rate=0.01).fit(*faces)
    wanted = model.predict_proba(faces[0])
    found = find_learning_rate(model.set_params(warm_start=True), *faces, n_steps=N_STEPS)
    assert found.losses[0] < 0.6
    np.testing.assert_array_equal(model.predict_proba(faces[0]), wanted)


def test_the_test_ends_when_training_diverges(faces):
    found = find_learning_rate(make_model(), *faces, max_rate=1e6, n_steps=N_STEPS)
    assert len(found.losses) < N_STEPS
    assert np.isfinite(found.losses).all()


def test_the_suggestion_is_where_the_loss_falls_most():
    rates = np.geomspace(1e-6, 1e-1, 101)
    losses = 0.2 + 0.5 / (1 + np.exp(3 * (np.log10(rates) + 4))) + np.where(rates > 1e-2, 5.0, 0.0)
    found = LearningRates(rates, losses)
    assert found.suggested == pytest.approx(1e-4, rel=0.3)
    axes = found.figure().axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate"
    assert "suggested 1" in repr(found)


@pytest.mark.parametrize(
    ("params", "options", "error", "message"),
    [
        ({"fine_tune": False}, {}, ValueError, "trains only its head, on a frozen backbone; set fine_tune=True"),
        ({}, {"min_rate": 0}, ValueError, "want 0 < min_rate < max_rate"),
        ({}, {"min_rate": 1, "max_rate": 0.1}, ValueError, "want 0 < min_rate < max_rate"),
        ({}, {"n_steps": 3}, ValueError, "n_steps=3: want 10 or more"),
        ({}, {"min_rate": 1e30, "max_rate": 1e37}, NotFiniteError, "choose a lower min_rate"),
    ],
)
def test_what_cannot_be_tested_is_told(params, options, error, message, faces):
    with pytest.raises(error, match=message):
        find_learning_rate(make_model(**params), *faces, **options)


def test_one_class_is_refused(faces):
    with pytest.raises(ValueError, match="class"):
        find_learning_rate(MaskClassifier("efficientnet_lite0"), faces[0][:4], ["with_mask"] * 4)
