"""Spellings of one word agree, and classes keep their colours."""

from maskkit._labels import BLUE, VERMILION, colour_of, spelling


def test_spelling_ignores_case_and_punctuation():
    assert spelling("WithMask") == spelling("with_mask") == spelling("With Mask")
    assert spelling("with_mask") != spelling("without_mask")
    assert spelling(3) == "3"


def test_known_words_have_one_colour_however_they_are_spelt():
    assert colour_of("WithMask", ["WithMask", "x"]) == colour_of("with_mask", ["a", "with_mask"]) == BLUE
    assert colour_of("without_mask", ["without_mask"]) == VERMILION


def test_unknown_classes_differ_in_colour():
    classes = ["a", "b", "c"]
    assert len({colour_of(label, classes) for label in classes}) == 3
