"""Input of evaluations: classifiers, and data sets of labeled faces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_consistent_length

from maskkit._checks.columns import as_labels
from maskkit._checks.numbers import check_int
from maskkit._images.annotated import are_photos, cut_faces
from maskkit._images.boxes import check_boxes
from maskkit._images.load import RgbImage, check_images, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._labels import index_labels


def list_classes(classifier: Any) -> list[Any]:
    """Return the classes of a fitted classifier, in its order; raise NotFittedError if it has no `classes_`."""
    if not hasattr(classifier, "classes_"):
        raise NotFittedError(f"{type(classifier).__name__} has no classes_; want a fitted classifier. Call fit first.")
    return np.asarray(classifier.classes_).tolist()


def check_resampling(n_resamples: Any, random_state: Any) -> tuple[int, int]:
    """Return the number of bootstrap samples and the seed; raise TypeError or ValueError if they are out of range."""
    return check_int(n_resamples, "n_resamples", 1), check_int(random_state, "random_state", 0)


def check_proba(proba: Any, n_faces: int, classes: Sequence[Any]) -> NDArray[np.float64]:
    """Return probabilities as float64; raise ValueError unless they are finite and of shape (n_faces, n_classes)."""
    proba, wanted = np.asarray(proba, dtype=np.float64), (n_faces, len(classes))
    if proba.shape != wanted:
        raise ValueError(
            f"predict_proba returned shape {proba.shape}; want {wanted}, one row per image and one column per class."
        )
    if not np.isfinite(proba).all():
        row = int(np.flatnonzero(~np.isfinite(proba).all(axis=1))[0])
        raise ValueError(f"predict_proba returned {proba[row].tolist()} for image {row}; want finite numbers.")
    return proba


WANTED = "want (X, y), a Bunch of paths and labels from load_faces, or photos from load_photos"


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces to evaluate: images of one face each, or faces of annotated photos.

    `names` are file names, or form and position of the source. Of faces of photos, `faces` are their indices in their
    photo, `photos` the indices of their photos, and `sides_px` the longer sides of their boxes; else they are None.
    """

    sources: list[Any]
    labels: list[Any]
    names: list[str]
    faces: list[int | None]
    photos: NDArray[np.int64] | None = None
    sides_px: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def select(self, rows: NDArray[Any]) -> "FaceSet":
        """Return the faces of some rows."""
        sources, labels, names, faces = (
            [column[row] for row in rows] for column in (self.sources, self.labels, self.names, self.faces)
        )
        photos = None if self.photos is None else self.photos[rows]
        sides_px = None if self.sides_px is None else self.sides_px[rows]
        return FaceSet(sources, labels, names, faces, photos, sides_px)


def read_face_set(X: Any, y: Any = None) -> FaceSet:
    """Return the faces of a data set; photos are cropped at their boxes as for the classifier.

    Raises ImageError if a photo cannot be read; TypeError, ValueError if it is no data set, or empty.
    """
    if y is None:
        if are_photos(X):
            return _crop_faces(X)
        X, y = _split_data(X)
    sources = check_images(X)
    labels = as_labels(y).tolist()
    check_consistent_length(sources, labels)
    names = [name_source(source, index) for index, source in enumerate(sources)]
    return FaceSet(sources, labels, names, [None] * len(sources))


def select_known(
    faces: FaceSet, classes: Sequence[Any]
) -> tuple[FaceSet, NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Select the faces whose label is a class of the classifier.

    Returns the faces, the indices of their classes, their rows, and the number of faces left out by label. Raises
    ValueError if none is left, or a label is neither a class nor an incorrectly worn mask.
    """
    true = index_labels(faces.labels, classes)
    rows = np.flatnonzero(true >= 0)
    left_out = Counter(str(label) for label, index in zip(faces.labels, true, strict=True) if index < 0)
    if not rows.size:
        raise ValueError(
            f"every face is labeled {', '.join(left_out)}, for which the classifier has no class; want other labels."
        )
    return faces.select(rows), true[rows], rows, dict(left_out)


def _split_data(X: Any) -> tuple[Any, Any]:
    if isinstance(X, Mapping) and {"paths", "labels"} <= X.keys():
        return X["paths"], X["labels"]
    if isinstance(X, Mapping) and "splits" in X:
        names = ", ".join(map(repr, X["splits"]))
        raise ValueError(f"X has the splits {names}; want one, X[name], or all of them, X.splits.")
    if isinstance(X, tuple) and len(X) == 2:
        return X
    if isinstance(X, Sequence) and not isinstance(X, (str, bytes)):
        raise ValueError(f"X is a {type(X).__name__} without y; {WANTED}.")
    raise TypeError(f"X is of type {type(X).__name__}; {WANTED}.")


def _crop_faces(photos: Sequence[Any]) -> FaceSet:
    crops: list[list[RgbImage]] = list(prefetch_map(_cut, photos))
    n_faces = list(map(len, crops))
    if not sum(n_faces):
        raise ValueError(f"none of the {len(photos)} photos has an annotated face; want at least one.")
    boxes = np.concatenate([np.reshape(photo.boxes_xyxy, (-1, 4)) for photo in photos]).astype(np.float64)
    return FaceSet(
        list(chain.from_iterable(crops)),
        [str(label) for photo in photos for label in photo.labels],
        [name for photo, n in zip(photos, n_faces, strict=True) for name in [name_source(photo.path)] * n],
        [face for n in n_faces for face in range(n)],
        np.repeat(np.arange(len(photos)), n_faces),
        (boxes[:, 2:] - boxes[:, :2]).max(axis=1),
    )


def _cut(photo: Any) -> list[RgbImage]:
    boxes = check_boxes(photo.boxes_xyxy, len(photo.labels), name_source(photo.path))
    return cut_faces(photo.path, boxes) if len(boxes) else []


def describe_left_out(left_out: Mapping[str, int]) -> str:
    """Return a sentence about faces that were left out; empty if there are none."""
    if not left_out:
        return ""
    counts = ", ".join(f"{count:,} {label}" for label, count in left_out.items())
    return f"Left out, because the model has no such class: {counts}."
