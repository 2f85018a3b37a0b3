"""Photos with the boxes of their faces, from Pascal VOC annotations."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit._checks.columns import is_missing
from maskkit._images.boxes import check_boxes
from maskkit._images.load import read_header
from maskkit._images.orientation import ImageHeader
from maskkit._images.prefetch import prefetch_map
from maskkit._labels import warn_of_labels
from maskkit.datasets._folders import check_folder, check_on_error, find_unreadable, warn_of_skipped
from maskkit.datasets._frames import PlacedAnnotation, check_frame, find_usual_frame
from maskkit.datasets._voc import Annotation, list_annotations, read_annotation
from maskkit.exceptions import DataError, ImageError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPhoto:
    """A photo with the boxes and classes of its faces.

    Parameters
    ----------
    path : Path
        Path to the photo.
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

    path: Path
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        labels = _check_labels(self.labels, str(self.path))
        boxes = check_boxes(self.boxes_xyxy, len(labels), str(self.path))
        # The dataclass is frozen, so converted values can only be set this way.
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


def load_photos(
    folder: str | os.PathLike[str],
    *,
    on_error: Literal["raise", "skip"] = "raise",
    frame: Literal["auto", "stored", "upright"] = "auto",
) -> list[AnnotatedPhoto]:
    """Load the paths of photos and the boxes of their faces from Pascal VOC annotations.

    Parameters
    ----------
    folder : str or Path
        Path to a folder with ``annotations/*.xml`` beside ``images/`` (or ``JPEGImages/``), or with
        ``*.xml`` beside the images. The image of an annotation is the one with the same stem, or else the
        one that its ``<filename>`` names, with or without an ending. Images without annotation are ignored.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no pixels are read, so an unreadable image raises when it is used. With ``"skip"``
        each image is decoded now, and photos whose annotation or image cannot be read are left out with one
        warning.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which the boxes were drawn, for photos with an EXIF orientation: as they are stored, or upright, as
        they are displayed. ``"auto"``: as ``<size>`` and the boxes show it, or else as in the other photos of the
        folder that show it.

    Returns
    -------
    photos : list of AnnotatedPhoto
        Photos in natural order of the names of the annotations. Edges are xmin, ymin, xmax and ymax, turned if they
        were drawn on stored pixels, otherwise unchanged, and labels are ``<name>``. Photos without faces are included.

    Raises
    ------
    DataError
        If the folder is missing or contains no annotation; with ``"raise"`` also if an annotation is malformed, its
        image is missing or has another size than ``<size>``, a box is empty, a fraction or outside the photo, or its
        frame is unknown. The message names the file.
    ValueError
        If `on_error` or `frame` is unknown.

    Warns
    -----
    SkippedImageWarning
        If photos were left out.
    UserWarning
        If labels differ in spelling only.
    """
    check_on_error(on_error)
    check_frame(frame)
    paths, images = list_annotations(check_folder(folder))
    skipped: dict[Path, str] = {}
    collect = partial(_map_values, skipped=skipped if on_error == "skip" else None)
    annotations = collect(lambda path, _: read_annotation(path, images), dict.fromkeys(paths))
    annotations = collect(partial(_check_alone, first={}), annotations)
    sources = [annotation.image for annotation in annotations.values()]
    headers = dict(zip(annotations, prefetch_map(_read_header, sources), strict=True))
    placed = collect(lambda path, annotation: PlacedAnnotation(annotation, headers[path], frame), annotations)
    usual_frame = find_usual_frame(placed.values())
    photos = list(collect(lambda _, each: _make_photo(each, usual_frame), placed).values())
    unreadable = find_unreadable([photo.path for photo in photos]) if on_error == "skip" else {}
    warn_of_skipped(skipped | unreadable, len(paths), "photos")
    warn_of_labels((label for photo in photos for label in photo.labels.tolist()), str(folder))
    return [photo for photo in photos if photo.path not in unreadable]


def _read_header(path: Path) -> ImageHeader | None:
    try:
        return read_header(path)
    except ImageError:  # raised where the photo is used
        return None


def _check_alone(path: Path, annotation: Annotation, first: dict[Path, Path]) -> Annotation:
    """Return an annotation; raise DataError if another, kept in `first` by its image, has the same image.

    Evaluated on its own, each would count the other's faces as missed or invented.
    """
    other = first.setdefault(annotation.image, path)
    if other != path:
        raise DataError(
            f"{path}: its image, {annotation.image}, is also that of {other}; want one annotation per photo. "
            f"Merge them, or correct <filename>."
        )
    return annotation


def _make_photo(placed: PlacedAnnotation, usual_frame: str | None) -> AnnotatedPhoto:
    return AnnotatedPhoto(
        placed.annotation.image, placed.place(usual_frame), np.array(placed.annotation.labels, dtype=np.str_)
    )


def _map_values(
    function: Callable[[Path, Any], Result], values: Mapping[Path, Any], *, skipped: dict[Path, str] | None
) -> dict[Path, Result]:
    """Return the results of ``function(path, value)``; a DataError is added to `skipped`, or raised if that is None."""
    results = {}
    for path, value in values.items():
        try:
            results[path] = function(path, value)
        except DataError as exc:
            if skipped is None:
                raise
            skipped[path] = str(exc)
    return results
