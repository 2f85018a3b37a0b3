"""Spellings of one word agree, and classes keep their colours."""

from maskkit._labels import BLUE, VERMILION, color_of, normalize_label


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
