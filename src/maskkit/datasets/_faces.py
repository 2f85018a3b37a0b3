"""Data sets of face crops: loading, and the forms in which functions accept them."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state

from maskkit._checks.columns import as_labels
from maskkit._images.load import iterate_images
from maskkit.datasets._folders import check_folder, check_on_error, find_faces, find_unreadable, warn_of_skipped
from maskkit.datasets._photos import AnnotatedPhoto
from maskkit.exceptions import DataError

FaceData: TypeAlias = Bunch | tuple[Sequence[Any], Sequence[Any]] | Sequence[AnnotatedPhoto]
"""Data accepted by `describe` and `collage`: from any function of this folder that loads data, or (paths, labels)."""

# A split of such a name would hide this key of the Bunch.
RESERVED = {"paths", "labels", "groups", "columns", "splits", "skipped"}


class FaceBunch(Bunch):
    """A Bunch of face crops or of annotated photos, whose repr shows their number, and not every path."""

    def __repr__(self) -> str:
        splits = self.get("splits", {"all": self})
        are_photos = any(isinstance(split, list) for split in splits.values())
        sizes = {name: len(split if are_photos else split["paths"]) for name, split in splits.items()}
        shown = ", ".join(f"{name}: {size:,}" for name, size in sizes.items())
        return f"<{'photos' if are_photos else 'faces'}, {shown}>"

    def __getattr__(self, name: str) -> Any:
        # The error lists the splits, because their names are those of the folders in lower case.
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(f"there is no {name!r}; there are {', '.join(self)}") from None


def load_faces(
    folder: str | os.PathLike[str],
    *,
    on_error: Literal["raise", "skip"] = "raise",
    shuffle: bool = True,
    random_state: Any = 0,
    exclude: Iterable[str | os.PathLike[str]] = (),
) -> Bunch:
    """List the images of a folder of face crops, one face per image, with their classes.

    Parameters
    ----------
    folder : str or Path
        Path to split and class folders, ``Train/WithMask/*.png``, or to class folders alone,
        ``WithMask/*.png``. Files are images by their extension, in any case, or by their first bytes;
        other files and hidden files are ignored. What may be an image but cannot be read, such as a link
        to nothing, counts as an image.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no image is decoded, so an unreadable image raises when it is used. With
        ``"skip"`` each image is decoded now, and unreadable ones are left out with one warning. A split
        whose folder cannot be read is left out with a warning in both cases.
    shuffle : bool, default=True
        Whether to shuffle each split. The order before is the natural order of the names, so the result is the
        same on every file system.
    random_state : int, RandomState or None, default=0
        Seed of the shuffle.
    exclude : iterable of paths, optional
        Folders inside `folder` to leave out, such as one with pictures that maskkit wrote.

    Returns
    -------
    faces : sklearn.utils.Bunch
        With class folders alone:

        - `paths`, list of Path;
        - `labels`, ndarray of shape (n_images,), str: names of the class folders.

        With splits, such a Bunch for each, by the name of the split in lower case: ``faces.train.paths``.
        With both:

        - `splits`, dict of name -> Bunch of paths and labels; class folders alone have the one split
          ``"all"``;
        - `skipped`, list of (Path, str): images and splits that were left out, and the reasons.

    Raises
    ------
    DataError
        If the folder is missing, has neither layout or only one class, a class contains no (readable) image, or two
        classes differ only in spelling, such as WithMask and with_mask.
    ValueError
        If `on_error` is unknown.

    Warns
    -----
    SkippedImageWarning
        If images or splits were left out.
    """
    check_on_error(on_error)
    folder = check_folder(folder)
    found, locked = find_faces(folder, exclude)
    everything = [path for classes in found.values() for paths in classes.values() for path in paths]
    unreadable = find_unreadable(everything) if on_error == "skip" else {}
    splits: dict[str, Bunch] = {}
    for split, classes in found.items():
        name = "all" if split == folder else split.name.lower()
        if name in splits or name in RESERVED:
            raise DataError(f"{split}: the split's name in lower case, {name!r}, is taken; rename the folder.")
        pairs = [(path, label) for label, paths in classes.items() for path in paths if path not in unreadable]
        if empty := classes.keys() - {label for _, label in pairs}:
            raise DataError(
                f"{split}: no image of {', '.join(sorted(empty))} can be read; want at least one per class. "
                f"Add readable images or remove the folder."
            )
        if shuffle:
            pairs = [pairs[index] for index in check_random_state(random_state).permutation(len(pairs))]
        splits[name] = FaceBunch(
            paths=[path for path, _ in pairs], labels=np.array([label for _, label in pairs], dtype=np.str_)
        )
    warn_of_skipped(unreadable, len(everything), "images")
    warn_of_skipped(locked, len(found) + len(locked), "splits")
    faces = FaceBunch(splits=splits, skipped=[*unreadable.items(), *locked.items()])
    faces.update(splits["all"] if folder in found else splits)
    return faces


def as_photos(faces: FaceData) -> dict[str, list[AnnotatedPhoto]] | None:
    """Return annotated photos by split, or None if the data are face crops; those without splits are ``"all"``."""
    if isinstance(faces, Bunch):
        splits = faces.get("splits", {})
        return dict(splits) if any(isinstance(split, list) for split in splits.values()) else None
    # A tuple is (paths, labels).
    if isinstance(faces, (tuple, str)) or not hasattr(faces, "__iter__"):
        return None
    photos = list(faces)
    return {"all": photos} if all(isinstance(photo, AnnotatedPhoto) for photo in photos) else None


def as_splits(faces: FaceData) -> dict[str, tuple[list[Any], NDArray[Any]]]:
    """Return paths and labels by split; data without splits are the split ``"all"``."""
    if isinstance(faces, Bunch) and "splits" in faces:
        pairs = {name: (split.paths, split.labels) for name, split in faces.splits.items()}
    elif isinstance(faces, Bunch) and {"paths", "labels"} <= faces.keys():
        pairs = {"all": (faces.paths, faces.labels)}
    elif isinstance(faces, tuple) and len(faces) == 2:
        pairs = {"all": faces}
    else:
        raise TypeError(
            f"faces is of type {type(faces).__name__}; want what a function of maskkit.datasets "
            f"loaded, or (paths, labels)."
        )
    splits = {
        name: (list(iterate_images(paths)), as_labels(labels, "labels").astype(np.str_))
        for name, (paths, labels) in pairs.items()
    }
    for name, (paths, labels) in splits.items():
        if labels.shape != (len(paths),):
            raise ValueError(
                f"split {name!r}: {len(paths)} paths and labels of shape {labels.shape}; want one label per path."
            )
        if not paths:
            raise ValueError(f"split {name!r} is empty; want at least one image.")
    return splits
