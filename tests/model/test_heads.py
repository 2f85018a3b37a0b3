"""Heads of others: their classes and probabilities are checked."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from maskkit import MaskClassifier
from maskkit.testing import TinyBackbone, make_faces


class ConstantHead(ClassifierMixin, BaseEstimator):
    """Predicts one row for every image."""

    def __init__(self, row=(0.4, 0.6), order=1):
        self.row = row
        self.order = order

    def fit(self, X, y):
        if self.order:
            self.classes_ = np.unique(y)[:: self.order]
        return self

    def predict_proba(self, X):
        return np.tile(self.row, (len(X), 1))


def fit(**params):
    model = MaskClassifier(
        TinyBackbone(), weights=None, head=ConstantHead(**params), fine_tune=False, find_face=False, detector="whole"
    )
    return model.fit(*make_faces(4))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1.7, -0.7), "no probabilities"),
        ((0.4, 0.1), "no probabilities"),
        ((1.0, 1.0), "no probabilities"),
        ((0.2, 0.3, 0.5), r"shape \(4, 3\) for 2 classes"),
    ],
)
def test_only_probabilities_of_the_classes_are_predicted(row, message):
    faces, _ = make_faces(4)
    model = fit(row=row)
    with pytest.raises(ValueError, match=message):
        model.predict(faces)
    with pytest.raises(ValueError, match=message.replace("(4, ", "(1, ")):
        model.predict_faces(faces[0])


def test_probabilities_are_rounded():
    assert fit(row=(0.3335, 0.6660)).predict(make_faces(4)[0]).tolist() == ["without_mask"] * 4


@pytest.mark.parametrize("order", [0, -1])
def test_a_head_learns_the_sorted_classes(order):
    with pytest.raises(ValueError, match=r"ConstantHead has classes_ .* want the sorted labels"):
        fit(order=order)
