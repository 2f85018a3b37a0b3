"""Folders of faces and of annotated photos: read them, describe them, look at them."""

import os
from itertools import starmap
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import Bunch, check_random_state

from maskkit._display.collage import choose_evenly, compose_tiles
from maskkit._display.drawing import blur_faces
from maskkit._images.crop import crop_square
from maskkit._images.load import load_image
from maskkit._optional import require
from maskkit.datasets._audit import Audit, audit_faces
from maskkit.datasets._description import Description, describe_faces, describe_photos
from maskkit.datasets._face_data import FaceBunch, FaceData, as_photos, as_splits
from maskkit.datasets._folders import check_folder, find_faces, find_images_below, find_unreadable, warn_of_skipped
from maskkit.datasets._voc import AnnotatedPhoto, find_annotations, read_annotation
from maskkit.exceptions import DataError

__all__ = [
    "load_faces",
    "load_photos",
    "describe",
    "audit",
    "Audit",
    "collage",
    "find_images_below",
    "AnnotatedPhoto",
    "Description",
]

OnError: TypeAlias = Literal["raise", "skip"]

# Keys of the Bunch that a split of that name would hide.
_TAKEN = {"paths", "labels", "splits", "skipped"}


def load_faces(
    folder: str | os.PathLike[str],
    *,
    on_error: OnError = "raise",
    shuffle: bool = True,
    random_state: Any = 0,
) -> Bunch:
    """List the images of a folder of faces, one face an image, with their classes.

    Parameters
    ----------
    folder : str or Path
        Either split and class folders, ``Train/WithMask/*.png``, or class folders alone,
        ``WithMask/*.png``. Files are images if Pillow reads their ending, in any case; other files
        and hidden ones are passed over.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no file is opened, so that what uses an unreadable image raises. With
        ``"skip"`` each is decoded now, and those unreadable are left out with one warning.
    shuffle : bool, default=True
        Shuffle each split, from natural order of the names, so that the order is the same on every
        file system.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    faces : sklearn.utils.Bunch
        With class folders alone:

        - `paths`, list of Path;
        - `labels`, ndarray of shape (n_images,), str: names of the class folders, as they are.

        With splits, such a Bunch for each, by the split's name in lower case: ``faces.train.paths``.
        With both:

        - `splits`, dict of name -> Bunch of paths and labels; class folders alone have the one split
          ``"all"``;
        - `skipped`, list of (Path, str): what was left out, and why.

    Raises
    ------
    DataError
        If the folder is missing, has neither layout, or a class holds no (readable) image.
    ValueError
        If `on_error` is another word.

    Warns
    -----
    SkippedImageWarning
        If images were left out.
    """
    _check_on_error(on_error)
    folder = check_folder(folder)
    found = find_faces(folder)
    everything = [path for classes in found.values() for paths in classes.values() for path in paths]
    skipped = find_unreadable(everything) if on_error == "skip" else {}
    splits: dict[str, Bunch] = {}
    for place, classes in found.items():
        name = "all" if place == folder else place.name.lower()
        if name in splits or name in _TAKEN:
            raise DataError(f"{place}: the split's name, {name!r} in lower case, is taken; rename the folder.")
        pairs = [(path, label) for label, paths in classes.items() for path in paths if path not in skipped]
        if lost := classes.keys() - {label for _, label in pairs}:
            raise DataError(
                f"{place}: no image of {', '.join(sorted(lost))} can be read; want at least one a class. "
                f"Put sound files there or remove the folder."
            )
        if shuffle:
            pairs = [pairs[index] for index in check_random_state(random_state).permutation(len(pairs))]
        splits[name] = FaceBunch(
            paths=[path for path, _ in pairs], labels=np.array([label for _, label in pairs], dtype=np.str_)
        )
    warn_of_skipped(skipped, len(everything), "images")
    faces = FaceBunch(splits=splits, skipped=list(skipped.items()))
    faces.update(splits["all"] if folder in found else splits)
    return faces


def load_photos(folder: str | os.PathLike[str], *, on_error: OnError = "raise") -> list[AnnotatedPhoto]:
    """Read photos and the boxes of their faces, as Pascal VOC annotations have them.

    Parameters
    ----------
    folder : str or Path
        Holds ``annotations/*.xml`` beside ``images/`` (or ``JPEGImages/``), or ``*.xml`` beside the
        images. The image of an annotation is the one of its own name, else the one that its
        ``<filename>`` names. Images without annotation are passed over.
    on_error : {"raise", "skip"}, default="raise"
        With ``"skip"`` photos whose annotation or image cannot be read are left out with one
        warning; for this each image is decoded, which ``"raise"`` leaves to whatever uses it.

    Returns
    -------
    photos : list of AnnotatedPhoto
        In natural order of the annotations' names. Edges are taken from xmin, ymin, xmax and ymax
        as they are, labels from name. Photos without faces are kept.

    Raises
    ------
    DataError
        If the folder is missing or holds no annotation; with ``"raise"`` also if an annotation is
        malformed, its image is missing or a box is empty. The message names the file.
    ValueError
        If `on_error` is another word.

    Warns
    -----
    SkippedImageWarning
        If photos were left out.
    """
    _check_on_error(on_error)
    annotations, images = find_annotations(check_folder(folder))
    if on_error == "raise":
        return [read_annotation(path, images) for path in annotations]
    photos, skipped = [], {}
    for path in annotations:
        try:
            photos.append(read_annotation(path, images))
        except DataError as exc:
            skipped[path] = str(exc)
    unreadable = find_unreadable([photo.path for photo in photos])
    warn_of_skipped(skipped | unreadable, len(annotations), "photos")
    return [photo for photo in photos if photo.path not in unreadable]


def describe(faces: FaceData) -> Description:
    """Count the images by split and class and measure them; only headers of files are read.

    Parameters
    ----------
    faces : Bunch, tuple or sequence of AnnotatedPhoto
        From `load_faces`, whole or one split; a tuple (paths, labels); or from `load_photos`.

    Returns
    -------
    description : Description
        Shown by a rich console or a notebook; `tables`, `to_dict` and `save_chart` give the figures.

    Raises
    ------
    TypeError
        If `faces` is none of these.
    ValueError
        If there is nothing in it, or paths and labels differ in number.

    Examples
    --------
    >>> describe(load_faces("face-mask-12k")).save_chart("classes.png")  # doctest: +SKIP
    """
    photos = as_photos(faces)
    if photos is None:
        return describe_faces(as_splits(faces))
    if not photos:
        raise ValueError("faces is empty; want at least one photo.")
    return describe_photos(photos)


def collage(
    faces: FaceData,
    *,
    n_columns: int = 6,
    n_rows: int = 4,
    tile_px: int = 112,
    random_state: Any = 0,
    blur: bool = False,
) -> Image.Image:
    """Put a sample of the faces on one sheet, the name of its class under each.

    Parameters
    ----------
    faces : Bunch, tuple or sequence of AnnotatedPhoto
        As in `describe`. From photos the faces are cut out, as square as the classifier sees them.
    n_columns : int, >= 1, default=6
    n_rows : int, >= 1, default=4
        At most so many tiles: as equally many a class as there are, grouped by class. Classes
        beyond the number of tiles go without.
    tile_px : int, >= 32, default=112
        Side of a tile.
    random_state : int, RandomState or None, default=0
        Draws the sample.
    blur : bool, default=False
        Make the faces unrecognisable.

    Returns
    -------
    sheet : PIL.Image.Image
        RGB, without metadata.

    Raises
    ------
    ImageError
        If a drawn image cannot be read; the message names it.
    TypeError
        If `faces` is none of these.
    ValueError
        If there is no face, or a number is out of range.
    """
    for name, value, least in (("n_columns", n_columns, 1), ("n_rows", n_rows, 1), ("tile_px", tile_px, 32)):
        if value < least:
            raise ValueError(f"{name}={value!r} is too small; want at least {least}.")
    photos = as_photos(faces)
    if photos is not None:
        tiles = [(photo.path, box) for photo in photos for box in photo.boxes_xyxy]
        labels = [label for photo in photos for label in photo.labels.tolist()]
    else:
        splits = as_splits(faces).values()
        tiles = [(path, None) for paths, _ in splits for path in paths]
        labels = [label for _, of_split in splits for label in of_split.tolist()]
    if not tiles:
        raise ValueError("faces holds no face; want at least one.")
    chosen = choose_evenly(labels, n_columns * n_rows, check_random_state(random_state))
    pictures = list(starmap(_cut_tile, (tiles[index] for index in chosen)))
    if blur:
        pictures = [blur_faces(picture, [(0, 0, *picture.size)]) for picture in pictures]
    shown = [labels[index] for index in chosen]
    return compose_tiles(pictures, shown, sorted(set(labels)), n_columns, (tile_px, tile_px))


def audit(faces: FaceData, *, random_state: int = 0) -> Audit:
    """Look for what makes figures lie: copies, wrong labels, classes that something else than a mask tells.

    Reports, and never deletes or changes a file. Needs the extra ``audit``.

    Parameters
    ----------
    faces : Bunch or tuple
        From `load_faces`, whole or one split; or (paths, labels).
    random_state : int, default=0

    Returns
    -------
    audit : Audit
        Shown by a rich console; `audit.groups` is what `GroupKFold` wants.

    Raises
    ------
    MissingLibraryError
        If the extra ``audit`` is not installed.
    TypeError, ValueError
        If `faces` is no such data set, or has fewer than two images that can be read.

    Notes
    -----
    Copies are found by perceptual hash, also of mirror images, and by the features of a frozen
    EfficientNet-Lite0, whitened. Copies that were turned and cut are found in part: see the measurements.

    Examples
    --------
    >>> found = audit(load_faces("face-mask-12k"))  # doctest: +SKIP
    >>> cross_val_score(model, paths, labels, cv=GroupKFold(5), groups=found.groups)  # doctest: +SKIP
    """
    for library in ("imagehash", "cleanlab"):
        require(library, "audit")
    if as_photos(faces) is not None:
        raise TypeError("faces holds annotated photos; audit wants images of one face each, as load_faces gives.")
    splits = as_splits(faces)
    rows = [
        (path, label, name)
        for name, (paths, labels) in splits.items()
        for path, label in zip(paths, labels.tolist(), strict=True)
    ]
    sources, labels, names = (list(column) for column in zip(*rows, strict=True))
    return audit_faces(sources, labels, names, random_state=random_state)


def _cut_tile(path: Any, box: NDArray[np.float32] | None) -> Image.Image:
    image = load_image(path)
    return Image.fromarray(image if box is None else crop_square(image, box))


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} is unknown; use 'raise' or 'skip'.")
