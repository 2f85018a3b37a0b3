"""What counts as a data set of faces: images with labels, or photos whose boxes are cut out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage, check_images, load_image, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._labels import index_labels

WANTED = "want (X, y), a Bunch of paths and labels as load_faces gives, or photos as load_photos gives"


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces to judge.

    Parameters
    ----------
    sources : list of images
    labels : list
    names : list of str
        Of the file, or form and place.
    faces : list of int or None
        Place of the face among those of its photo; None for images of one face each.
    photos : ndarray of shape (n_faces,), int64, or None
        Which photo a face is of; None for images of one face each.
    sides_px : ndarray of shape (n_faces,), float64, or None
        Longer side of the annotated box; None where there is none.
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
        """Keep the faces of some rows."""
        return FaceSet(
            [self.sources[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.names[row] for row in rows],
            [self.faces[row] for row in rows],
            None if self.photos is None else self.photos[rows],
            None if self.sides_px is None else self.sides_px[rows],
        )


def is_comparison(X: Any) -> bool:
    """Tell a dict of data sets from a Bunch, which is a dict too."""
    return isinstance(X, Mapping) and "labels" not in X and "splits" not in X


def read_face_set(X: Any, y: Any = None) -> FaceSet:
    """List the faces of a data set; boxes of photos are cut as the classifier cuts them.

    Raises
    ------
    ImageError
        If a photo cannot be read.
    TypeError, ValueError
        If it is no data set, empty, or images and labels differ in number.
    """
    if y is None:
        if _holds_photos(X):
            return _cut_faces(X)
        X, y = _take_apart(X)
    sources = check_images(X)
    labels = column_or_1d(y).tolist()
    check_consistent_length(sources, labels)
    names = [name_source(source, index) for index, source in enumerate(sources)]
    return FaceSet(sources, labels, names, [None] * len(sources))


def keep_known(
    faces: FaceSet, classes: Sequence[Any]
) -> tuple[FaceSet, NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Leave out the faces that the classifier has no class for.

    Returns
    -------
    kept : FaceSet
    truths : ndarray of shape (n_kept,), int64
        Index of the class.
    rows : ndarray of shape (n_kept,), int64
        Which faces were kept.
    left_out : dict of str to int
        Label -> number of faces.

    Raises
    ------
    ValueError
        If none is left, or a label means no class and is no incorrectly worn mask.
    """
    truths = index_labels(faces.labels, classes)
    rows = np.flatnonzero(truths >= 0)
    left_out = Counter(str(label) for label, truth in zip(faces.labels, truths, strict=True) if truth < 0)
    if not rows.size:
        raise ValueError(f"every face is {', '.join(left_out)}, for which the classifier has no class; want others.")
    return faces.select(rows), truths[rows], rows, dict(left_out)


def _take_apart(X: Any) -> tuple[Any, Any]:
    if isinstance(X, Mapping) and {"paths", "labels"} <= X.keys():
        return X["paths"], X["labels"]
    if isinstance(X, Mapping) and "splits" in X:
        names = ", ".join(map(repr, X["splits"]))
        raise ValueError(f"X has the splits {names}; want one: X[name], or all side by side: X.splits.")
    if isinstance(X, tuple) and len(X) == 2:
        return X
    if isinstance(X, Sequence) and not isinstance(X, (str, bytes)):
        raise ValueError(f"X is a {type(X).__name__} without y; {WANTED}.")
    raise TypeError(f"X is of type {type(X).__name__}; {WANTED}.")


def _holds_photos(X: Any) -> bool:
    return isinstance(X, Sequence) and len(X) > 0 and all(hasattr(photo, "boxes_xyxy") for photo in X)


def _cut_faces(photos: Sequence[Any]) -> FaceSet:
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
    if not len(photo.boxes_xyxy):
        return []
    image = load_image(photo.path)
    return [crop_square(image, box) for box in photo.boxes_xyxy]
