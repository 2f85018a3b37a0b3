"""What counts as a data set where one is asked for."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from maskkit.datasets._voc import AnnotatedPhoto

FaceData: TypeAlias = Bunch | tuple[Sequence[Any], Sequence[Any]] | Sequence[AnnotatedPhoto]
"""What `describe` and `collage` take: from `load_faces`, (paths, labels), or from `load_photos`."""


class FaceBunch(Bunch):
    """A Bunch that shows how much there is of what, not every path."""

    def __repr__(self) -> str:
        splits = self.get("splits", {"all": self})
        shown = ", ".join(f"{name}: {len(split['paths']):,}" for name, split in splits.items())
        return f"<faces, {shown}>"

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(f"there is no {name!r}; there are {', '.join(self)}") from None


def as_photos(faces: FaceData) -> list[AnnotatedPhoto] | None:
    """Give a list of photos, None for images of one face each."""
    if isinstance(faces, (Bunch, tuple, str)) or not hasattr(faces, "__iter__"):
        return None
    photos = list(faces)
    return photos if all(isinstance(photo, AnnotatedPhoto) for photo in photos) else None


def as_splits(faces: FaceData) -> dict[str, tuple[list[Any], NDArray[Any]]]:
    """Give every split as paths and labels, one called ``"all"`` where there are none."""
    if isinstance(faces, Bunch) and "splits" in faces:
        pairs = {name: (split.paths, split.labels) for name, split in faces.splits.items()}
    elif isinstance(faces, Bunch) and {"paths", "labels"} <= faces.keys():
        pairs = {"all": (faces.paths, faces.labels)}
    elif isinstance(faces, tuple) and len(faces) == 2:
        pairs = {"all": faces}
    else:
        raise TypeError(
            f"faces is of type {type(faces).__name__}; want what load_faces or load_photos give, or (paths, labels)."
        )
    splits = {name: (list(paths), np.asarray(labels, dtype=np.str_)) for name, (paths, labels) in pairs.items()}
    for name, (paths, labels) in splits.items():
        if labels.shape != (len(paths),):
            raise ValueError(f"split {name!r}: {len(paths)} paths and labels of shape {labels.shape}; want one each.")
        if not paths:
            raise ValueError(f"split {name!r} is empty; want at least one image.")
    return splits
