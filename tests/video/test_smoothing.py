"""Smoothed decisions follow the predictions and do not flicker."""

from itertools import pairwise

import pytest

from maskkit._video.smoothing import SmoothedDecision
from tests.helpers import DecisionRule


def add_frames(smoothed, masked, *, from_s=0.0, seconds=2.0, size_px=40, rate=25):
    """Add the frames of some seconds; return the decision after each."""
    decisions = []
    for index in range(round(seconds * rate)):
        value = masked[index % len(masked)] if isinstance(masked, tuple) else masked
        smoothed.add({"with_mask": value, "without_mask": 1 - value}, size_px, from_s + index / rate)
        decisions.append(smoothed.decision)
    return decisions


def test_single_frames_are_outvoted():
    smoothed = SmoothedDecision(DecisionRule(threshold=0.7))
    decisions = add_frames(smoothed, (0.95, 0.95, 0.95, 0.95, 0.2))
    assert set(decisions) == {"with_mask"}
    assert smoothed.probability == pytest.approx(0.8, abs=0.05)


def test_mean_around_the_threshold_does_not_flicker():
    values = (0.75, 0.65, 0.75, 0.62)
    rule = DecisionRule(threshold=0.7)
    alone = [rule.reasons(value, 40) for value in values]
    assert alone == [(), ("low_probability",), (), ("low_probability",)]
    assert set(add_frames(SmoothedDecision(rule), values)) == {"with_mask"}


def test_mean_between_two_classes_does_not_flicker():
    decisions = add_frames(SmoothedDecision(DecisionRule()), (0.55, 0.4, 0.55, 0.45), rate=4, seconds=20)
    assert set(decisions) == {"with_mask"}


def test_mask_taken_off_is_shown_within_a_second():
    smoothed = SmoothedDecision(DecisionRule())
    add_frames(smoothed, 0.95)
    decisions = add_frames(smoothed, 0.05, from_s=2.0, seconds=1.0)
    assert decisions[0] == "with_mask"
    assert decisions[-1] == "without_mask"
    assert sum(a != b for a, b in pairwise(decisions)) == 1


def test_smoothing_does_not_depend_on_the_frame_rate():
    quick, slow = SmoothedDecision(DecisionRule()), SmoothedDecision(DecisionRule())
    for smoothed, rate in ((quick, 50), (slow, 10)):
        add_frames(smoothed, 0.9, seconds=5, rate=rate)
        add_frames(smoothed, 0.1, from_s=5.0, seconds=1.0, rate=rate)
    assert quick.probabilities["with_mask"] == pytest.approx(slow.probabilities["with_mask"], abs=0.05)


def test_large_faces_weigh_more_than_small_ones():
    smoothed = SmoothedDecision(DecisionRule())
    smoothed.add({"with_mask": 1.0, "without_mask": 0.0}, 10, 0.0)
    smoothed.add({"with_mask": 0.0, "without_mask": 1.0}, 30, 0.0)
    assert smoothed.probabilities == {"with_mask": 0.25, "without_mask": 0.75}


def test_face_that_is_too_small_stays_uncertain():
    smoothed = SmoothedDecision(DecisionRule(min_size_px=16))
    assert set(add_frames(smoothed, 0.99, size_px=12)) == {"uncertain"}
    assert smoothed.probability is None
    assert smoothed.probabilities == {}
    add_frames(smoothed, 0.99, from_s=2.0, size_px=20)
    assert smoothed.decision == "with_mask"
