"""Calibration figures agree with scikit-learn, cases counted by hand and simulations."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from maskkit.evaluation._calibration import (
    COVERAGE,
    bin_equally_full,
    bin_equally_wide,
    brier_losses,
    estimate_debiased,
    estimate_error,
    expected_error,
    risk_coverage,
    squared_errors,
)


def simulate(n, slope, rng):
    """Faces whose accuracy is their confidence, or less by a share of what is above one half."""
    confidence = 0.5 + 0.5 * rng.beta(4, 1, n)
    return confidence, rng.random(n) < 0.5 + slope * (confidence - 0.5)


def test_expected_error_counted_by_hand():
    # Two bins of 15: accuracy 1/2 at 0.9, 1 at 0.61.
    confidence, is_right = np.array([0.9, 0.9, 0.61, 0.61]), np.array([True, False, True, True])
    assert expected_error(confidence, is_right)(np.ones(4)) == pytest.approx((0.4 + 0.39) / 2)
    assert expected_error(confidence, is_right)(np.array([2, 2, 0, 0])) == pytest.approx(0.4)


def test_bins_are_fifteen_and_closed_above():
    assert bin_equally_wide(np.array([0.0, 1 / 15, 0.0667, 0.5, 1.0])).tolist() == [0, 0, 1, 7, 14]
    full = np.bincount(bin_equally_full(np.random.default_rng(0).random(1500)))
    assert len(full) == 15
    assert (np.abs(full - 100) <= 1).all()


@pytest.mark.parametrize("n", [2, 3, 12, 13, 29])
def test_few_faces_have_fewer_bins_of_two_or_more(n):
    confidence = np.linspace(0.5, 0.52, n)
    assert np.bincount(bin_equally_full(confidence)).min() >= 2
    assert squared_errors(confidence, np.ones(n, dtype=bool))(np.ones(n))[1] == pytest.approx(0.24, abs=0.01)


def test_faces_of_equal_confidence_share_a_bin():
    assert set(bin_equally_full(np.ones(100))) == {0}
    assert len(set(bin_equally_full(np.repeat([0.6, 0.9], 50)))) == 2


def test_debiased_error_of_a_calibrated_classifier_is_zero_on_average():
    rng = np.random.default_rng(0)
    errors = np.array([squared_errors(*simulate(300, 1.0, rng))(np.ones(300)) for _ in range(300)])
    assert errors[:, 0].mean() > 0.001
    assert abs(errors[:, 1].mean()) < 0.0002


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    n, gap = 400, 0.08  # a tenth of twice the mean of confidence above one half, 0.4
    held = []
    for _ in range(150):
        confidence, is_right = simulate(n, 0.8, rng)
        error, squares = expected_error(confidence, is_right), squared_errors(confidence, is_right)
        drawn = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(150)]
        expected = estimate_error(error(np.ones(n)), np.array([error(weights) for weights in drawn]), n)
        debiased = estimate_debiased(*squares(np.ones(n)), np.array([squares(weights)[1] for weights in drawn]), n)
        held.append([estimate.low <= gap <= estimate.high for estimate in (expected, debiased)])
    assert (np.mean(held, axis=0) > 0.85).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_brier_score_agrees_with_scikit_learn(n_classes):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(n_classes), 50)
    truths = rng.integers(0, n_classes, 50)
    expected = brier_score_loss(truths, proba, labels=np.arange(n_classes), scale_by_half=True)
    assert brier_losses(proba, truths).mean() == pytest.approx(expected)


def test_risk_and_coverage_counted_by_hand():
    # The surest first: right, right, wrong, right.
    area, risks = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]))(np.ones(4))
    assert area == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert risks[np.isclose(COVERAGE, 0.5)] == 0
    assert risks[-1] == pytest.approx(1 / 4)


def test_faces_of_equal_confidence_are_answered_together():
    confidence, is_right = np.full(4, 0.9), np.array([True, True, True, False])
    area, risks = risk_coverage(confidence, is_right)(np.ones(4))
    assert area == pytest.approx(0.25)
    assert (risks == 0.25).all()


def test_weights_count_like_repetitions():
    rng = np.random.default_rng(0)
    confidence, is_right = simulate(50, 0.8, rng)
    weights = rng.integers(0, 4, 50)
    repeated = np.repeat(confidence, weights), np.repeat(is_right, weights)
    ones = np.ones(weights.sum())
    assert expected_error(confidence, is_right)(weights) == pytest.approx(expected_error(*repeated)(ones))
    (area, risks), (wanted_area, wanted_risks) = (
        risk_coverage(confidence, is_right)(weights),
        risk_coverage(*repeated)(ones),
    )
    assert area == pytest.approx(wanted_area)
    np.testing.assert_allclose(risks, wanted_risks)
    np.testing.assert_allclose(
        squared_errors(confidence, is_right)(np.full(50, 3))[0], squared_errors(confidence, is_right)(np.ones(50))[0]
    )
