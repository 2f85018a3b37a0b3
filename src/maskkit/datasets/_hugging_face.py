"""Data sets of the library datasets of Hugging Face, which need not be imported: its objects are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskkit._checks.columns import is_missing
from maskkit._labels import warn_of_labels
from maskkit.datasets._coco import read_bbox
from maskkit.datasets._faces import RESERVED, FaceBunch
from maskkit.datasets._folders import check_on_error, find_unreadable, warn_of_skipped
from maskkit.datasets._frames import Annotation, Frame, check_frame
from maskkit.datasets._photos import make_photos
from maskkit.exceptions import DataError, ImageError

_CATEGORIES = ("category", "categories", "label", "labels")


class StoredImage:
    """A binary file in a data set, whose bytes are read whenever they are needed."""

    def __init__(self, dataset: Any, column: str, row: int, name: str):
        self.dataset, self.column, self.row, self.name = dataset, column, row, name

    def __str__(self) -> str:
        return self.name

    def read(self) -> bytes:
        """Return the content of the file; raise ImageError if there is none."""
        cell = self.dataset[self.row][self.column] or {}
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        try:
            return Path(cell["path"]).read_bytes()
        except (KeyError, TypeError, OSError) as exc:
            raise ImageError(f"{self.name}: its image is missing ({exc}); remove the row.") from exc

    def tell(self) -> int:
        """Return the position: each `read` begins at the first byte."""
        return 0

    def seek(self, position: int) -> int:
        """Ignore the position."""
        return position


def from_hugging_face(
    dataset: Any,
    *,
    image: str = "image",
    label: str = "label",
    objects: str = "objects",
    on_error: Literal["raise", "skip"] = "raise",
    frame: Frame = "auto",
) -> Any:
    """Use a data set of the library datasets: face crops with labels, or photos with boxes.

    Images are read from the data set whenever they are needed, so that they do not fill the memory.

    Parameters
    ----------
    dataset : datasets.Dataset or datasets.DatasetDict
        Loaded by ``datasets.load_dataset``, not streamed.
    image : str, default="image"
        Name of the column of images, whose feature is ``Image``.
    label : str, default="label"
        Name of the column of classes, whose feature is ``ClassLabel``, or whose values are strings or integers.
    objects : str, default="objects"
        Name of the column of faces in photos, which is used if there is no column `label`: ``bbox``, a list of
        [x, y, width, height] in pixels, and ``category``, a list of ``ClassLabel`` or of strings.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` an unreadable image raises when it is used. With ``"skip"`` each image is decoded now, and
        unreadable ones are left out with one warning per split.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which boxes were drawn, as in `load_photos`.

    Returns
    -------
    faces : sklearn.utils.Bunch, or list of AnnotatedPhoto
        For a Dataset of face crops: a Bunch with `paths`, which are binary files; `labels`; and `columns`, a dict of
        the other columns. For one of photos: a list of AnnotatedPhoto, whose `path` is a binary file. For a
        DatasetDict: a Bunch with one of these for each split, by its name in lower case, and `splits`, dict of name ->
        split.

    Raises
    ------
    TypeError
        If `dataset` is something else, or is streamed.
    DataError
        If a column is missing or of another kind, a class is missing, or a box is malformed or outside its photo. The
        message names the split and the row, counted from 0.
    ValueError
        If `on_error` or `frame` is unknown.

    Warns
    -----
    SkippedImageWarning
        If images were left out.
    UserWarning
        If labels differ in spelling only.

    Examples
    --------
    >>> from datasets import load_dataset  # doctest: +SKIP
    >>> faces = from_hugging_face(load_dataset("imagefolder", data_dir="faces"))  # doctest: +SKIP
    >>> model.fit(faces.train.paths, faces.train.labels)  # doctest: +SKIP
    """
    check_on_error(on_error)
    check_frame(frame)
    given = dict(dataset) if isinstance(dataset, Mapping) else {"all": dataset}
    found: dict[str, Any] = {}
    for split, rows in given.items():
        name = str(split).lower()
        if name in RESERVED or name in found:
            raise DataError(f"dataset: the split {split!r} has a name that is taken; rename it.")
        features = getattr(rows, "features", None)
        if features is None or not hasattr(rows, "__len__"):
            raise TypeError(
                f"dataset is of type {type(rows).__name__}; want a Dataset or DatasetDict of the library datasets, "
                f"loaded without streaming."
            )
        part = _Part(rows, f"dataset[{split!r}]" if isinstance(dataset, Mapping) else "dataset", image)
        if label not in features and objects in features:
            found[name] = part.read_photos(objects, on_error, frame)
        else:
            found[name] = part.read_crops(label, on_error)
    if not isinstance(dataset, Mapping):
        if isinstance(found["all"], FaceBunch):
            found["all"]["splits"] = {"all": FaceBunch(**found["all"])}
        return found["all"]
    return FaceBunch(splits=found, **found)


class _Part:
    """One Dataset."""

    def __init__(self, dataset: Any, name: str, image: str):
        self.dataset, self.name = dataset, name
        feature = self._feature(image, "image")
        if type(feature).__name__ != "Image":
            raise DataError(f"{name}: the column {image!r} is {feature}; want Image. Use cast_column(..., Image()).")
        self.image = image
        files = dataset.cast_column(image, type(feature)(decode=False)).select_columns([image])
        self.images: list[Any] = [StoredImage(files, image, row, f"{name}[{row}]") for row in range(len(dataset))]
        if not self.images:
            raise DataError(f"{name}: has no rows; want at least one.")

    def _feature(self, column: str, role: str) -> Any:
        if column not in self.dataset.features:
            raise DataError(
                f"{self.name}: has no column {column!r}; its columns are "
                f"{', '.join(map(repr, self.dataset.features))}. Pass the name: from_hugging_face(..., {role}='NAME')."
            )
        return self.dataset.features[column]

    def read_crops(self, label: str, on_error: str) -> FaceBunch:
        """Return the face crops."""
        names = getattr(self._feature(label, "label"), "names", None)
        labels = [_read_class(value, names, f"{self.name}[{row}]") for row, value in enumerate(self.dataset[label])]
        images = self.images
        unreadable = find_unreadable(images) if on_error == "skip" else {}
        warn_of_skipped(unreadable, len(images), "images", stacklevel=4)
        warn_of_labels(labels, self.name, stacklevel=4)
        rows = [row for row, source in enumerate(images) if source not in unreadable]
        others = [name for name in self.dataset.features if name not in (self.image, label)]
        return FaceBunch(
            paths=[images[row] for row in rows],
            labels=np.array([labels[row] for row in rows], dtype=np.str_),
            columns={name: [values[row] for row in rows] for name in others for values in [list(self.dataset[name])]},
            skipped=list(unreadable.items()),
        )

    def read_photos(self, objects: str, on_error: Literal["raise", "skip"], frame: Frame) -> Any:
        """Return the photos with the boxes of their faces."""
        feature = self.dataset.features[objects]
        feature = getattr(feature, "feature", feature)
        category = next((key for key in _CATEGORIES if isinstance(feature, Mapping) and key in feature), None)
        if category is None or "bbox" not in feature:
            raise DataError(f"{self.name}: the column {objects!r} is {feature}; want bbox and category, a list each.")
        inner = getattr(feature[category], "feature", feature[category])
        names = getattr(inner, "names", None)
        faces = list(self.dataset[objects])

        def read(source: Any) -> Annotation:
            of_photo, name = faces[source.row], f"{source.name}"
            if isinstance(of_photo, list):  # one dict per face
                of_photo = {key: [face[key] for face in of_photo] for key in ("bbox", category)}
            boxes = [read_bbox(bbox, name) for bbox in of_photo["bbox"]]
            labels = [_read_class(value, names, name) for value in of_photo[category]]
            return Annotation(name, source, None, boxes, labels)

        return make_photos(self.images, read, name=self.name, on_error=on_error, frame=frame)


def _read_class(value: Any, names: Sequence[str] | None, name: str) -> str:
    # ClassLabel has -1 for examples without a class.
    if is_missing(value) or not isinstance(value, (str, int)) or not str(value).strip() or (names and value == -1):
        raise DataError(f"{name}: its class is {value!r}; want a class in every row. Remove such rows with filter.")
    return str(names[int(value)] if names else value)
