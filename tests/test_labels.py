"""Spellings of one word agree, and classes keep their colours."""

import warnings

import pytest

from maskkit._labels import BLUE, VERMILION, color_of, normalize_label, warn_of_labels


def test_spelling_ignores_case_and_punctuation():
    assert normalize_label("WithMask") == normalize_label("with_mask") == normalize_label("With Mask")
    assert normalize_label("with_mask") != normalize_label("without_mask")
    assert normalize_label(3) == "3"


def test_known_words_have_one_colour_however_they_are_spelt():
    assert color_of("WithMask", ["WithMask", "x"]) == color_of("with_mask", ["a", "with_mask"]) == BLUE
    assert color_of("without_mask", ["without_mask"]) == VERMILION


def test_unknown_classes_differ_in_colour():
    classes = ["a", "b", "c"]
    assert len({color_of(label, classes) for label in classes}) == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["With.Mask", "with_mask"], "differ only in spelling"),
        (["with_mask.", "with_mask"], "differ only in spelling"),
        (["mask", "with_mask", "bare"], "'mask' and 'with_mask', which mean the same"),
        (["no_mask", "without_mask"], "'no_mask' and 'without_mask', which mean the same"),
        (["mask", "nan"], "'nan', which a missing value becomes as text"),
        (["mask", "<NA>"], "'<NA>', which a missing value becomes as text"),
    ],
)
def test_labels_that_are_probably_not_meant_are_told(labels, message):
    with pytest.warns(UserWarning, match=message):
        warn_of_labels(labels, "y")


@pytest.mark.parametrize("labels", [["mask", "bare"], ["v1.1", "v11"], ["1.0", "10"], [0, 1], ["None", "mask"]])
def test_different_labels_are_not_told(labels):
    with warnings.catch_warnings(action="error"):
        warn_of_labels(labels, "y")
