"""Labels and class folders that differ in spelling only."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit import TransferHead, evaluate
from maskkit.datasets import audit, describe, load_faces, load_photos
from maskkit.exceptions import DataError
from maskkit.testing import make_faces
from tests.conftest import fuzzing, make_classifier

TWINS = [
    ("WithMask", "withmask"),
    ("with_mask", "with mask"),
    ("with-mask", "With_Mask"),
    ("WithMask", "WITH  MASK"),
    (unicodedata.normalize("NFC", "masqué"), unicodedata.normalize("NFD", "masqué")),
    ("Straße", "STRASSE"),
    ("\N{FULLWIDTH LATIN SMALL LETTER M}ask", "mask"),
]
STRANGERS = [
    ("WithMask", "WithoutMask"),
    ("mask1", "mask2"),
    ("-1", "1"),
    ("1_0", "10"),
    ("A+", "A"),
    ("😷", "😀"),
    ("口", "罩"),
]


def add_classes(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (20, 20)).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.parametrize("names", TWINS)
def test_class_folders_that_are_twins_raise(tmp_path, names):
    add_classes(tmp_path, *names, "other")
    with pytest.raises(DataError, match=r"the class folders '.*' and '.*' differ only in spelling"):
        load_faces(tmp_path)


@pytest.mark.parametrize("names", TWINS)
def test_twins_in_different_splits_raise(tmp_path, names):
    for split, name in zip(("Train", "Test"), names, strict=True):
        add_classes(tmp_path / split, name, "other")
    with pytest.raises(DataError, match="differ only in spelling"):
        load_faces(tmp_path)


@pytest.mark.parametrize("names", STRANGERS)
def test_other_names_are_no_twins(tmp_path, names):
    assert set(load_faces(add_classes(tmp_path, *names)).labels) == set(names)


@pytest.mark.parametrize("names", TWINS)
def test_fit_warns_of_twins(faces, names):
    labels = np.array([*names, "other", "other"] * 10)
    with pytest.warns(
        UserWarning, match="y holds .*, which differ only in spelling but are different classes"
    ) as caught:
        make_classifier(epochs=1).fit(faces[0], labels)
    assert caught[0].filename == __file__


def test_load_photos_warns_of_twins(tmp_path):
    for name, label in (("a", "with_mask"), ("b", "With Mask")):
        Image.new("RGB", (60, 60)).save(tmp_path / f"{name}.png")
        box = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
        face = f"<object><name>{label}</name><bndbox>{box}</bndbox></object>"
        (tmp_path / f"{name}.xml").write_text(f"<annotation>{face}</annotation>")
    with pytest.warns(UserWarning, match="'With Mask' and 'with_mask', which differ only in spelling"):
        assert len(load_photos(tmp_path)) == 2


@pytest.mark.parametrize("spelled", [{"with_mask": "WithMask", "without_mask": "WithoutMask"}, {"with_mask": "mask"}])
def test_score_warns_of_labels_that_are_no_class(fitted, faces, spelled):
    images, labels = faces
    y = [spelled.get(label, label) for label in labels.tolist()]
    with pytest.warns(
        UserWarning, match=r"y holds .*, which is not a class .*; its classes are 'with_mask', 'without_mask'"
    ):
        assert fitted.score(images, y) <= 0.5
    assert evaluate(fitted, images, y, n_resamples=1).estimates["accuracy"].value == fitted.score(images, labels)


def test_score_of_a_head_warns_too():
    X = np.random.default_rng(0).normal(size=(40, 3))
    head = TransferHead(epochs=1).fit(X, ["a", "b"] * 20)
    with pytest.warns(UserWarning, match="y holds 'A', 'B', which is not a class"):
        assert head.score(X, ["A", "B"] * 20) == 0


def test_score_of_numbers_for_names_raises(fitted, faces):
    with pytest.warns(UserWarning, match="y holds 0, 1"), pytest.raises(ValueError, match="Mix of label input types"):
        fitted.score(faces[0], [0, 1] * 20)


@pytest.mark.parametrize("key", ["WithMask", "with mask", "WITH_MASK"])
@pytest.mark.parametrize("others", [{}, {"without_mask": 1}, {"without_mask": 1, "with_mask": 1}])
def test_class_weight_of_another_spelling_raises(faces, key, others):
    with pytest.raises(ValueError, match=r"class_weight spells a class in another way: .*Spell the keys"):
        make_classifier(class_weight={key: 5.0} | others).fit(*faces)
    with pytest.raises(ValueError, match="class_weight spells a class in another way"):
        TransferHead(class_weight={key: 5.0} | others).fit(np.zeros((4, 2)), ["with_mask", "without_mask"] * 2)


def test_labels_of_symbols_are_not_mixed_up():
    images, _ = make_faces(20)
    model = make_classifier().fit(images, ["😷", "😀"] * 10)
    with pytest.raises(ValueError, match="y holds '😎', which is not a class"):
        evaluate(model, images, ["😎"] * 20, n_resamples=1)


names = st.text("abkXYZéÅß _-1口😷", min_size=1, max_size=8)


@given(name=names)
@fuzzing(60)
def test_any_name_in_another_case_is_a_twin_or_the_same(name):
    for other in (name.upper(), name.casefold(), unicodedata.normalize("NFD", name), name.replace(" ", "_")):
        labels = [name, other, "another class"] * 2
        images, _ = make_faces(6)
        model = make_classifier(epochs=1)
        if name == other or not any(letter.isalpha() for letter in name):
            continue
        with pytest.warns(UserWarning, match="differ only in spelling"):
            model.fit(images, labels)


# A split may lack a class


def test_one_split_with_one_class_only(tmp_path, faces):
    add_classes(tmp_path / "Train", "WithMask", "WithoutMask")
    add_classes(tmp_path / "Test", "WithMask")
    loaded = load_faces(tmp_path)
    assert set(loaded.test.labels) == {"WithMask"}
    assert describe(loaded).counts["test"] == {"WithMask": 3}
    assert len(audit(loaded).labels) == 9
    model = make_classifier().fit(loaded.train.paths, loaded.train.labels)
    found = evaluate(model, loaded.test, n_resamples=10)
    assert found.n_faces == 3
    assert evaluate(model, dict(loaded.splits), n_resamples=10).evaluations["test"].n_faces == 3
    with pytest.raises(ValueError, match="y holds 1 class, 'WithMask'; want two or more"):
        model.fit(loaded.test.paths, loaded.test.labels)


def test_splits_of_one_class_in_all_raise(tmp_path):
    for split in ("Train", "Test"):
        add_classes(tmp_path / split, "images")
    with pytest.raises(DataError, match="contains only one class, images; want"):
        load_faces(tmp_path)
