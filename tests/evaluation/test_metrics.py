"""Figures agree with scikit-learn, SciPy and cases counted by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from maskkit._metrics.scores import class_scores, macro, wilson
from maskkit.evaluation._intervals import bootstrapped, difference, mean_share, resample
from maskkit.evaluation._metrics import (
    average_precision,
    match_boxes,
    precision_recall,
    roc_auc,
)


@pytest.mark.parametrize(("n_right", "n"), [(0, 10), (10, 10), (792, 800), (1, 3), (50_000, 100_000)])
def test_wilson_agrees_with_scipy(n_right, n):
    estimate = wilson(n_right, n)
    interval = binomtest(n_right, n).proportion_ci(method="wilson")
    assert (estimate.value, estimate.n) == (n_right / n, n)
    assert estimate.low == pytest.approx(interval.low, abs=1e-12)
    assert estimate.high == pytest.approx(interval.high, abs=1e-12)


def test_share_of_nothing_is_nan():
    estimate = wilson(0, 0)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert estimate.n == 0


def test_intervals_hold_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    held = [
        estimate.low <= 0.9 <= estimate.high for estimate in (wilson(rng.binomial(200, 0.9), 200) for _ in range(2000))
    ]
    assert 0.93 < np.mean(held) < 0.97


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 400)
    samples = np.array([(counts * values).sum() / 400 for counts in resample(400, 2000, rng)])
    estimate = bootstrapped(values.mean(), samples, 400)
    half = 1.96 * values.std() / 20
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.03)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_leaves_out_samples_without_the_figure():
    estimate = bootstrapped(0.5, np.array([0.4, np.nan, 0.6]), 3)
    assert 0.4 <= estimate.low <= estimate.high <= 0.6
    assert np.isnan(bootstrapped(0.5, np.array([np.nan]), 3).low)
    assert np.isnan(bootstrapped(np.nan, np.array([0.5]), 3).value)


def test_resample_draws_n_cases_each_time():
    assert [counts.sum() for counts in resample(7, 5, np.random.default_rng(0))] == [7] * 5


def test_difference_of_shares_agrees_with_newcombe():
    # Table II of the paper, method 10: 56/70 less 48/80.
    estimate = difference(wilson(56, 70), wilson(48, 80))
    assert [round(value, 4) for value in (estimate.value, estimate.low, estimate.high)] == [0.2, 0.0524, 0.3339]


def test_mean_of_shares_holds_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    means = [mean_share([wilson(rng.binomial(400, 0.98), 400), wilson(rng.binomial(40, 0.8), 40)]) for _ in range(2000)]
    assert 0.93 < np.mean([mean.low <= 0.89 <= mean.high for mean in means]) < 0.97


def test_mean_of_shares_leaves_out_those_of_nothing():
    assert mean_share([wilson(3, 4), wilson(0, 0)]) == wilson(3, 4)
    assert np.isnan(mean_share([wilson(0, 0)]).value)
    assert mean_share([wilson(5, 5), wilson(5, 5)]).low < 0.8


@pytest.mark.parametrize("n_classes", [2, 4])
def test_class_scores_agree_with_scikit_learn(n_classes):
    rng = np.random.default_rng(n_classes)
    truths, said = rng.integers(0, n_classes, (2, 300))
    confusion = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(confusion, (truths, said), 1)
    for got, score in zip(class_scores(confusion), (precision_score, recall_score, f1_score), strict=True):
        np.testing.assert_allclose(got, score(truths, said, average=None))
        assert macro(got) == pytest.approx(score(truths, said, average="macro"))


def test_class_that_does_not_occur_has_no_score_and_does_not_count():
    precision, recall, f1 = class_scores(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert np.isnan([precision[2], recall[2], f1[2]]).all()
    assert macro(recall) == pytest.approx((0.75 + 1) / 2)
    assert np.isnan(macro(np.array([np.nan, np.nan])))


def test_auc_agrees_with_scikit_learn_also_with_ties_and_weights():
    rng = np.random.default_rng(0)
    truths = rng.random(500) < 0.3
    scores = np.round(rng.random(500) + 0.4 * truths, 1)
    area = roc_auc(truths, scores)
    assert area(np.ones(len(scores))) == pytest.approx(roc_auc_score(truths, scores))
    counts = rng.integers(0, 4, 500)
    assert area(counts) == pytest.approx(roc_auc_score(truths, scores, sample_weight=counts))
    assert np.isnan(roc_auc(np.ones(3, dtype=bool), np.arange(3.0))(np.ones(3)))


def test_overlaps_of_known_boxes_decide_matches():
    others = [[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 5, 5], [20, 20, 30, 30]]
    # Intersections over union with the box: 1, 50 / 150, 25 / 100 and 0.
    for other, overlap in zip(others, [1, 50 / 150, 25 / 100, 0], strict=True):
        for iou, match in ((overlap - 1e-6, 0), (overlap + 1e-6, -1)):
            assert match_boxes([[0, 0, 10, 10]], [1], [other], iou=max(iou, 1e-9)).tolist() == [
                match if overlap else -1
            ]
    assert match_boxes(np.zeros((0, 4)), [], others, iou=0.5).shape == (0,)


def test_the_surest_detection_chooses_first_and_no_face_is_matched_twice():
    truths = [[0, 0, 10, 10], [100, 100, 110, 110]]
    boxes = [[0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60]]
    assert match_boxes(boxes, [0.9, 0.8, 0.7], truths, iou=0.4).tolist() == [0, -1, -1]
    assert match_boxes(boxes, [0.8, 0.9, 0.7], truths, iou=0.4).tolist() == [-1, 0, -1]
    assert match_boxes(boxes, [0.9, 0.8, 0.7], np.zeros((0, 4)), iou=0.4).tolist() == [-1, -1, -1]
    assert match_boxes(np.zeros((0, 4)), [], truths, iou=0.4).tolist() == []


def test_second_best_face_is_taken_if_the_best_is_gone():
    truths = [[0, 0, 10, 10], [0, 4, 10, 14]]
    boxes = [[0, 0, 10, 10], [0, 1, 10, 11]]
    assert match_boxes(boxes, [0.9, 0.8], truths, iou=0.4).tolist() == [0, 1]


def test_average_precision_counted_by_hand():
    # Right, wrong, right; three to find: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    is_right = np.array([True, False, True])
    assert average_precision(is_right, np.ones(3), 3) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # A precision that rises later counts for what comes before it.
    assert average_precision(np.array([False, True, True]), np.ones(3), 2) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("is_right", "n_truths", "expected"),
    [([True, True], 2, 1.0), ([False, False], 2, 0.0), ([], 2, 0.0), ([False], 0, np.nan), ([True], 4, 0.25)],
)
def test_average_precision_at_the_ends(is_right, n_truths, expected):
    got = average_precision(np.array(is_right, dtype=bool), np.ones(len(is_right)), n_truths)
    np.testing.assert_equal(got, expected)


def test_weights_count_like_repetitions():
    is_right, weights = np.array([True, False, True, False]), np.array([2, 0, 1, 3])
    repeated = np.repeat(is_right, weights)
    assert average_precision(is_right, weights, 5) == pytest.approx(average_precision(repeated, np.ones(6), 5))


def test_precision_never_rises_with_recall():
    rng = np.random.default_rng(0)
    recall, precision = precision_recall(rng.random(50) < 0.6, np.ones(50), 40)
    assert (np.diff(recall) >= 0).all()
    assert (np.diff(precision) <= 0).all()


def test_no_mistakes_among_few_is_not_certainty():
    estimate = bootstrapped(1.0, np.ones(100), 12)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == wilson(12, 12).low < 0.8
