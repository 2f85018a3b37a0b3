"""Photos with the boxes of their faces, from annotations of any format."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit._checks.columns import is_missing
from maskkit._images.boxes import check_boxes
from maskkit._images.load import name_source, read_header
from maskkit._images.orientation import ImageHeader
from maskkit._images.prefetch import prefetch_map
from maskkit._labels import warn_of_labels
from maskkit.datasets._folders import find_unreadable, warn_of_skipped
from maskkit.datasets._frames import Annotation, Frame, PlacedAnnotation, find_usual_frame
from maskkit.exceptions import DataError, ImageError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPhoto:
    """A photo with the boxes and classes of its faces.

    Parameters
    ----------
    path : Path, or image of another form
        Path to the photo, or what else `predict_photos` takes.
    boxes_xyxy : ndarray of shape (n_faces, 4), float32
        Left, top, right, bottom in pixels of the upright photo. At most half of a box may lie outside the photo; this
        is checked where the photo is read.
    labels : ndarray of shape (n_faces,), str
        Class of each face.

    Raises
    ------
    DataError
        If boxes and labels differ in number, a label is missing, or a box is not finite, is empty, has its edges
        swapped or is smaller than a pixel (a fraction); the message names the photo.
    """

    path: Any
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        name = name_source(self.path)
        labels = _check_labels(self.labels, name)
        boxes = check_boxes(self.boxes_xyxy, len(labels), name)
        # The dataclass is frozen, so converted values can only be set this way.
        if isinstance(self.path, (str, os.PathLike)):
            object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "boxes_xyxy", boxes)
        object.__setattr__(self, "labels", labels)


def _check_labels(labels: ArrayLike, name: str) -> NDArray[np.str_]:
    """Return labels as str (n,); raise DataError, with `name`, if one is missing."""
    values = np.asarray(labels, dtype=object)
    if values.ndim != 1:
        raise DataError(f"{name}: labels has shape {values.shape}; want (n,), one per box.")
    for row, label in enumerate(values.tolist()):
        if is_missing(label) or not str(label).strip():
            raise DataError(f"{name}: labels[{row}] is {label!r}; want the class of each face.")
    return values.astype(np.str_)


def make_photos(
    keys: Iterable[Path],
    read: Callable[[Path], Annotation],
    *,
    name: str,
    on_error: Literal["raise", "skip"],
    frame: Frame,
) -> list[AnnotatedPhoto]:
    """Return photos with their faces, from the annotation that `read` returns for each key, a path for messages.

    With ``on_error="skip"``, photos whose annotation or image cannot be read are left out, with one warning of the
    caller's caller. `name` is that of the data in a warning of labels that differ in spelling.

    Raises DataError if an annotation cannot be read or does not fit its photo.
    """
    skipped: dict[Path, str] = {}

    def collect(function: Callable[[Path, Any], Result], values: Mapping[Path, Any]) -> dict[Path, Result]:
        """Return the results by key; a DataError is raised, or with ``on_error="skip"`` kept in `skipped`."""
        results = {}
        for key, value in values.items():
            try:
                results[key] = function(key, value)
            except DataError as exc:
                if on_error == "raise":
                    raise
                skipped[key] = str(exc)
        return results

    annotations = collect(lambda key, _: read(key), dict.fromkeys(keys))
    n_all = len(annotations) + len(skipped)
    sources = [annotation.image for annotation in annotations.values()]
    headers = dict(zip(annotations, prefetch_map(try_header, sources), strict=True))
    placed = collect(lambda key, annotation: PlacedAnnotation(annotation, headers[key], frame), annotations)
    usual_frame = find_usual_frame(placed.values())
    photos = list(collect(lambda _, each: _make_photo(each, usual_frame), placed).values())
    unreadable = find_unreadable([photo.path for photo in photos]) if on_error == "skip" else {}
    warn_of_skipped(skipped | unreadable, n_all, "photos", stacklevel=4)
    warn_of_labels((label for photo in photos for label in photo.labels.tolist()), name, stacklevel=4)
    return [photo for photo in photos if photo.path not in unreadable]


def try_header(path: Any) -> ImageHeader | None:
    """Return the header of an image, or None if it cannot be read, which raises where the image is used."""
    try:
        return read_header(path)
    except ImageError:
        return None


def _make_photo(placed: PlacedAnnotation, usual_frame: str | None) -> AnnotatedPhoto:
    return AnnotatedPhoto(
        placed.annotation.image, placed.place(usual_frame), np.array(placed.annotation.labels, dtype=np.str_)
    )
