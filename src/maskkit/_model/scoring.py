"""Accuracy of classifiers, with a warning of labels that cannot be right."""

from typing import Any

from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score

from maskkit._checks.columns import as_labels
from maskkit._images.annotated import are_photos, read_labeled_faces
from maskkit._labels import warn_of_unknown


class ScoreMixin:
    classes_: Any

    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predicted classes.

        Parameters
        ----------
        X : sequence
            What `predict` takes; or, for a classifier of images, annotated photos, without `y`.
        y : array-like of shape (n,), optional
            True labels, spelled as in `classes_`. A label that is not a class counts as a mistake, with a warning.
        sample_weight : array-like of shape (n,), optional
            Weight of each row; that of a photo counts for each of its faces.

        Returns
        -------
        accuracy : float
        """
        if y is None or are_photos(X):
            faces = read_labeled_faces(X, y, type(self).__name__)
            X, y, sample_weight = faces.sources, faces.labels, faces.spread(sample_weight)
        labels = as_labels(y)
        predicted = self.predict(X)  # type: ignore[attr-defined]
        warn_of_unknown(labels.tolist(), self.classes_.tolist())
        return float(accuracy_score(labels, predicted, sample_weight=sample_weight))
