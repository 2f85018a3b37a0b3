"""The faces to review: face crops, annotated faces of photos, and faces that the detector finds in photos."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torchvision.ops import box_iou

from maskkit._images.annotated import AnnotatedFace
from maskkit._model.predictor import FacePredictor
from maskkit.datasets import AnnotatedPhoto
from maskkit.datasets._folders import find_unreadable, warn_of_skipped
from maskkit.exceptions import DataError, SkippedImageWarning
from maskkit.review._labels import Box, FaceKey

Track: TypeAlias = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress: maps items, a description and the number of items to the same items."""


def show_nothing(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
    """Return the items; the default of functions that show progress."""
    return items


# Overlap (IoU) from which a box of the file of answers is that of a face, although another detector drew it. Ours.
_SAME_FACE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face to review.

    `label` is that of the data, or None. Faces of one `group` are alike, as those of one photo are, so that no part of
    a group is held out alone.
    """

    key: FaceKey
    label: str | None
    group: str

    @property
    def source(self) -> Any:
        """The face as an image that the classifier takes."""
        if self.key.box is None:
            return self.key.path
        return AnnotatedFace(self.key.path, np.array(self.key.box, dtype=np.float32), 0)


def list_crops(paths: Sequence[Path], labels: Sequence[str] | None = None) -> list[Face]:
    """Return the faces of crops that can be read, with a warning of the others; `labels` are those of the data.

    Raises DataError if no image can be read.
    """
    unreadable = find_unreadable(paths)
    _check_readable(unreadable, paths, "images")
    given = labels if labels is not None else [None] * len(paths)
    return [_make_face(path, None, label) for path, label in zip(paths, given, strict=True) if path not in unreadable]


def list_annotated_faces(photos: Sequence[AnnotatedPhoto]) -> list[Face]:
    """Return the annotated faces of photos that can be read, with a warning of the others.

    Raises DataError if no photo can be read.
    """
    paths = [photo.path for photo in photos]
    unreadable = find_unreadable(paths)
    _check_readable(unreadable, paths, "photos")
    return [
        _make_face(photo.path, box, label)
        for photo in photos
        if photo.path not in unreadable
        for box, label in zip(photo.boxes_xyxy.tolist(), photo.labels.tolist(), strict=True)
    ]


def detect_faces(paths: Sequence[Path], predictor: FacePredictor, track: Track = show_nothing) -> list[Face]:
    """Return the faces that the detector finds in photos that can be read, with a warning of the others.

    Raises DataError if no photo can be read, or no face is found.
    """
    faces, unreadable = [], {}
    results = predictor.read_photos(track(paths, "Finding faces", len(paths)))
    for path, photo in zip(paths, results, strict=True):
        if photo.error is not None:
            unreadable[path] = photo.error
        faces += [_make_face(path, face.box, None) for face in photo.faces]
    _check_readable(unreadable, paths, "photos")
    if not faces:
        n_searched = len(paths) - len(unreadable)
        raise DataError(
            f"the detector finds no face in {n_searched} photos; if they are face crops, add --crops, else "
            f"try another --detector."
        )
    return faces


def _check_readable(unreadable: Mapping[Path, str], paths: Sequence[Path], kind: str) -> None:
    """Raise DataError if no image can be read, else warn of those that are left out."""
    if unreadable and len(unreadable) == len(set(paths)):
        raise DataError(
            f"none of the {len(unreadable)} {kind} in DATA can be read; check the files, or pass others. The first: "
            f"{next(iter(unreadable.values()))}"
        )
    warn_of_skipped(unreadable, len(paths), kind, stacklevel=4)


def match_answers(faces: Sequence[Face], answered: Iterable[FaceKey]) -> list[Face]:
    """Return the faces with the boxes of the answers that are about them, and the answered faces that are missing.

    Another detector, or another version of the annotations, draws other boxes around the same faces. Faces whose names
    a table cannot hold are left out with a warning.

    Raises DataError if no face is left.
    """
    of_photo: dict[Path, list[FaceKey]] = {}
    known = {face.key for face in faces}
    for key in answered:
        if key.box is not None and key not in known:
            of_photo.setdefault(key.path, []).append(key)
    matched = []
    for face in faces:
        rest = of_photo.get(face.key.path, [])
        matched.append(replace(face, key=_take_overlapping(face.key, rest) or face.key))
    photos = {face.key.path for face in faces}
    left = [key for path, keys in of_photo.items() if path in photos for key in keys]
    return _check_names([*matched, *(Face(key, None, _name_group(key.path)) for key in left)])


def _take_overlapping(key: FaceKey, others: list[FaceKey]) -> FaceKey | None:
    """Remove and return the key of the box that overlaps most, if it overlaps enough."""
    if not others:
        return None
    overlaps = box_iou(torch.tensor([key.box]), torch.tensor([other.box for other in others]))[0]
    return others.pop(int(overlaps.argmax())) if overlaps.max() >= _SAME_FACE else None


def _make_face(path: Path, box: Iterable[float] | None, label: str | None) -> Face:
    path = _resolve_folder(path.parent) / path.name
    edges: Box | None = None if box is None else tuple(round(float(edge), 2) for edge in box)  # type: ignore[assignment]
    return Face(FaceKey(path, edges), label, _name_group(path))


def _name_group(path: Path) -> str:
    return path.name


@cache
def _resolve_folder(folder: Path) -> Path:
    return folder.resolve()


def _check_names(faces: Sequence[Face]) -> list[Face]:
    """Return the faces whose paths a table can hold; warn of the others. Raises DataError if none is left."""

    def fits(face: Face) -> bool:
        name = str(face.key.path)
        is_utf_8 = name.encode("utf-8", "ignore").decode() == name
        return is_utf_8 and all(part == part.strip() for part in face.key.path.parts)

    kept = [face for face in faces if fits(face)]
    if len(kept) < len(faces):
        message = "names that are not UTF-8 or have a space at an end, which a table cannot hold"
        warnings.warn(f"{len(faces) - len(kept)} faces are left out: {message}.", SkippedImageWarning, stacklevel=2)
    if not kept:
        raise DataError("there is no face to review; check DATA.")
    return kept
