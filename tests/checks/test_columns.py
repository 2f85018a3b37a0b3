"""Collections that users pass for images and labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from scipy import sparse

from maskkit import FaceEmbedder, evaluate
from maskkit.datasets import audit, collage, describe
from maskkit.testing import TinyBackbone
from tests.conftest import fuzzing, make_classifier

SHUFFLED = np.random.default_rng(0).permutation(40)
FRAME = {
    "data frame": lambda values: pd.DataFrame({"path": values}),
    "column of a shuffled data frame": lambda values: pd.DataFrame({"path": values}, index=SHUFFLED),
    "series": lambda values: pd.Series(values),
    "series with a shuffled index": lambda values: pd.Series(values, index=SHUFFLED),
    "strings of pandas": lambda values: pd.Series(list(map(str, values)), dtype="string"),
    "categories": lambda values: pd.Series(list(map(str, values)), dtype="category"),
    "index": lambda values: pd.Index(list(map(str, values))),
    "table of pyarrow": lambda values: pa.table({"path": list(map(str, values))}),
    "array of pyarrow": lambda values: pa.array(list(map(str, values))),
    "chunks of pyarrow": lambda values: pa.chunked_array([list(map(str, values))]),
    "array": lambda values: np.array(list(map(str, values))),
    "array of objects": lambda values: np.array(values, dtype=object),
    "array of one column": lambda values: np.array(list(map(str, values)))[:, None],
    "objects in one column": lambda values: np.array(values, dtype=object)[:, None],
    "list of lists": lambda values: [[value] for value in values],
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda values: (value for value in values),
    "keys of a dict": lambda values: dict.fromkeys(values).keys(),
}
IMAGES_ONLY = {"keys of a dict"}


@pytest.mark.parametrize("form", FRAME)
def test_every_form_of_column_gives_the_same_predictions(fitted, face_paths, form):
    paths, _ = face_paths
    assert (fitted.predict(FRAME[form](paths)) == fitted.predict(paths)).all()
    assert [photo.name for photo in fitted.predict_photos(FRAME[form](paths))] == list(map(str, paths))


@pytest.mark.parametrize("form", sorted(FRAME.keys() - IMAGES_ONLY))
def test_every_form_of_column_gives_the_same_fit(face_paths, form):
    paths, labels = face_paths
    expected = make_classifier(epochs=2).fit(paths, labels).predict_proba(paths)
    model = make_classifier(epochs=2).fit(FRAME[form](paths), FRAME[form](labels.tolist()))
    assert (model.predict_proba(paths) == expected).all()
    assert model.score(FRAME[form](paths), FRAME[form](labels.tolist())) == model.score(paths, labels)
    data = FRAME[form](paths), FRAME[form](labels.tolist())
    assert describe(data).to_dict() == describe((paths, labels)).to_dict()


class PolarsFrame:
    """What data frames of polars have: names of columns, and columns by name and when iterated."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return self._columns[name]

    def __iter__(self):
        return iter(self._columns.values())


def test_data_frame_of_another_library(fitted, face_paths):
    paths, _ = face_paths
    assert (fitted.predict(PolarsFrame(path=paths)) == fitted.predict(paths)).all()
    with pytest.raises(
        TypeError, match=r"X is a table with 2 columns \('path', 'label'\); pass one of them, X\[column\]"
    ):
        fitted.predict(PolarsFrame(path=paths, label=paths))


WITHOUT_ORDER = {
    "set": (set, r"is a set, whose order is arbitrary.*pass a list, such as sorted"),
    "frozenset": (frozenset, "is a frozenset, whose order is arbitrary"),
    "dict": (lambda values: dict(enumerate(values)), r"is a dict with the keys 0, 1, 2; pass one of its values"),
    "two columns": (lambda values: pd.DataFrame({"a": values, "b": values}), r"is a table with 2 columns \('a', 'b'\)"),
    "no column": (lambda values: pd.DataFrame(index=range(len(values))), "is a table with 0 columns"),
    "two columns of pyarrow": (
        lambda values: pa.table({"a": [str(v) for v in values], "b": [1] * 40}),
        "is a table with 2 columns",
    ),
    "sparse": (lambda values: sparse.csr_matrix(np.eye(40)), "is a sparse csr_matrix; want a list"),
    "sparse array": (lambda values: sparse.coo_array(np.eye(40)), "is a sparse coo_array; want a list"),
    "one row": (lambda values: np.array(list(map(str, values)))[None], r"has shape \(1, 40\); want .*ravel"),
    "two columns of objects": (
        lambda values: np.array([values, values], object).T,
        r"has shape \(40, 2\); want",
    ),
    "masked": (lambda values: np.ma.array(list(map(str, values)), mask=np.arange(40) == 3), r"\[3\] is masked"),
    "number": (lambda values: 40, "is of type int; want a list"),
    "None": (lambda values: None, "is of type NoneType; want a list"),
}


@pytest.mark.parametrize("form", WITHOUT_ORDER)
def test_collections_without_order_or_with_several_columns_raise(fitted, face_paths, form):
    paths, labels = face_paths
    make, message = WITHOUT_ORDER[form]
    wrong = make(paths)
    for use in (
        lambda: fitted.predict(wrong),
        lambda: fitted.predict_photos(wrong),
        lambda: make_classifier().fit(wrong, labels),
        lambda: FaceEmbedder(TinyBackbone(), weights=None).fit(wrong),
        lambda: fitted.calibrate(wrong, labels),
        lambda: evaluate(fitted, (wrong, labels)),
        lambda: describe((wrong, labels)),
        lambda: audit((wrong, labels)),
        lambda: collage((wrong, labels)),
    ):
        with pytest.raises((TypeError, ValueError), match=f"X ?({message})"):
            use()


@pytest.mark.parametrize("form", sorted(WITHOUT_ORDER.keys() - {"None"}))
def test_labels_without_order_or_with_several_columns_raise(fitted, face_paths, form):
    paths, labels = face_paths
    make, message = WITHOUT_ORDER[form]
    wrong = make(labels.tolist()) if form not in ("set", "frozenset") else make(map(str, range(40)))
    for use in (
        lambda: make_classifier().fit(paths, wrong),
        lambda: fitted.score(paths, wrong),
        lambda: fitted.calibrate(paths, wrong),
        lambda: fitted.choose_threshold(paths, wrong, precision=0.5),
        lambda: evaluate(fitted, paths, wrong),
        lambda: describe((paths, wrong)),
        lambda: audit((paths, wrong)),
    ):
        with pytest.raises((TypeError, ValueError), match=f"(y|labels) ?({message})"):
            use()


MISSING = [None, np.nan, pd.NA, pd.NaT, float("nan")]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("make", [list, np.array, pd.Series, lambda values: pd.DataFrame({"label": values})])
def test_missing_labels_name_the_row(fitted, face_paths, missing, make):
    paths, labels = face_paths
    y = make(np.array([*labels[:3].tolist(), missing, *labels[4:].tolist()], dtype=object))
    for use in (
        lambda: make_classifier().fit(paths, y),
        lambda: fitted.score(paths, y),
        lambda: fitted.calibrate(paths, y),
        lambda: evaluate(fitted, paths, y),
        lambda: describe((paths, y)),
    ):
        with pytest.raises(ValueError, match=r"(y|labels)\[3\] is .*; want a label for every image"):
            use()


@pytest.mark.parametrize("dtype", ["string", "category", "Int64", "boolean"])
def test_missing_values_of_pandas_types_name_the_row(face_paths, dtype):
    values = {"Int64": [1, 0], "boolean": [True, False]}.get(dtype, ["a", "b"])
    y = pd.Series([*values * 19, None, values[0]], dtype=dtype)
    with pytest.raises(ValueError, match=r"y\[38\] is .*; want a label for every image"):
        make_classifier().fit(face_paths[0], y)


@pytest.mark.parametrize("text", ["with_mask", b"with_mask"])
def test_one_text_as_labels_raises(face_paths, text):
    with pytest.raises(TypeError, match=r"y is the (str|bytes) .*; want a list of labels"):
        make_classifier().fit(face_paths[0], text)


def test_missing_images_name_the_row(fitted, face_paths):
    for missing in MISSING:
        with pytest.raises(Exception, match=r"image 1 \(\w+\): is not an image"):
            fitted.predict([face_paths[0][0], missing])


def test_result_of_load_faces_as_images_raises(fitted, face_paths):
    faces = {"paths": face_paths[0], "labels": face_paths[1]}
    with pytest.raises(TypeError, match="X is a dict with the keys 'paths', 'labels'; pass one of its values"):
        fitted.predict(faces)


def test_sample_weights_of_a_table(faces):
    weights = np.arange(1.0, 41.0)
    expected = make_classifier(epochs=2).fit(*faces, sample_weight=weights).predict_proba(faces[0])
    for column in (pd.DataFrame({"weight": weights}), weights[:, None], pd.Series(weights, index=SHUFFLED)):
        found = make_classifier(epochs=2).fit(*faces, sample_weight=column).predict_proba(faces[0])
        assert (found == expected).all()
    for wrong in (set(weights), dict(enumerate(weights)), pd.DataFrame({"a": weights, "b": weights})):
        with pytest.raises(TypeError, match=r"sample_weight is a (set|dict|table)"):
            make_classifier().fit(*faces, sample_weight=wrong)


def test_slices_of_a_table(fitted, face_paths):
    paths, labels = face_paths
    cameras = ["door", "phone"] * 20
    expected = evaluate(fitted, paths, labels, slices={"camera": cameras}, n_resamples=1)
    found = evaluate(fitted, paths, labels, slices={"camera": pd.DataFrame({"camera": cameras})}, n_resamples=1)
    assert found.to_dict() == expected.to_dict()
    with pytest.raises(TypeError, match=r"slices\['camera'\] is a set, whose order is arbitrary"):
        evaluate(fitted, paths, labels, slices={"camera": {str(row) for row in range(40)}}, n_resamples=1)


values = st.one_of(st.none(), st.floats(), st.integers(), st.text(), st.booleans(), st.sampled_from(MISSING))


@given(y=st.one_of(st.lists(values), st.sets(values), st.dictionaries(st.text(), values), st.lists(st.lists(values))))
@fuzzing(100)
def test_any_labels_fit_or_raise_one_error(faces, y):
    model = make_classifier(epochs=1)
    try:
        model.fit(faces[0], y)
    except (TypeError, ValueError) as exc:
        assert "y" in str(exc)  # noqa: PT017
