"""When a model answers, when not, and how sure it says it is."""

import numpy as np
import pytest

from tests.helpers import DecisionRule, fit_temperature, pick_threshold


def choose_threshold(proba, right, precision=None, uncertain_cost=None):
    return pick_threshold(np.array(proba), np.array(right), precision, uncertain_cost)


def test_reasons_follow_the_limits():
    rule = DecisionRule(threshold=0.8, min_size_px=12)
    assert rule.reasons(0.8, 12) == ()
    assert rule.reasons(0.79, 12) == ("low_probability",)
    assert rule.reasons(0.9, 11) == ("too_small",)
    assert rule.reasons(0.5, 3) == ("too_small", "low_probability")
    assert DecisionRule().reasons(0.0, 0) == ()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (true.cumsum(axis=1) > rng.random((len(true), 1))).argmax(axis=1)
    overconfident = np.exp(logits * temperature)
    said = overconfident / overconfident.sum(axis=1, keepdims=True)
    assert fit_temperature(said, targets) == pytest.approx(temperature, rel=0.05)


def test_temperature_stays_sane_without_mistakes():
    assert fit_temperature(np.array([[0.9, 0.1]] * 5), np.zeros(5, dtype=int)) == pytest.approx(0.2)


def test_threshold_keeps_the_precision_and_answers_most():
    proba = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    right = np.array([False, True, False, True, True, True])
    assert choose_threshold(proba, right, precision=1.0) == pytest.approx(0.75)
    assert choose_threshold(proba, right, precision=0.8) == pytest.approx(0.55)
    assert choose_threshold(proba, right, precision=0.6) == 0


def test_faces_of_equal_probability_go_together():
    # The four of 0.7 reach 0.75 together; the surest one of them alone cannot be told from the others.
    proba, right = [0.7] * 4, [True, True, True, False]
    assert choose_threshold(proba, right, precision=0.75) == 0
    message = "no threshold gives a precision of 0.900; the most confident faces reach 0.750"
    with pytest.raises(ValueError, match=message):
        choose_threshold(proba, right, precision=0.9)


def test_threshold_by_cost_is_chows_rule():
    rng = np.random.default_rng(0)
    proba = rng.uniform(0.5, 1, 50_000)
    right = rng.random(len(proba)) < proba
    assert choose_threshold(proba, right, uncertain_cost=0.2) == pytest.approx(0.8, abs=0.02)
