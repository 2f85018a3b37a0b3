"""Descriptions and collages of data sets."""

import copy
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import check_random_state

from maskkit._checks.numbers import check_int
from maskkit._display.charts import draw_chart, save_figure
from maskkit._display.collage import choose_evenly, compose_tiles
from maskkit._display.drawing import blur_faces
from maskkit._display.tables import Table, Tabulated
from maskkit._images.boxes import check_inside
from maskkit._images.crop import crop_square
from maskkit._images.load import load_image, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._images.quality import SIZE_BINS
from maskkit.datasets._faces import FaceData, as_photos, as_splits
from maskkit.datasets._photos import AnnotatedPhoto, try_header

Sizes = NDArray[np.float64]  # (n, 2): shorter and longer side in pixels; NaN if the header cannot be read

_PERCENTILES = {"p5": 5, "median": 50, "p95": 95}
_SIDE_COLUMNS = ("shorter: 5%", "median", "95%", "longer: 5%", "median", "95%")


@dataclass(frozen=True, eq=False, repr=False)
class Description(Tabulated):
    """Counts and sizes of a data set, as returned by `describe`.

    Attributes
    ----------
    counts : dict
        Split -> class -> number of images, or of faces in photos. Data without splits are the split ``"all"``.
    sizes_px : dict
        Class -> ndarray of the longer sides of the images, or of the boxes of faces, in pixels.
    unit : {"images", "faces"}
        Unit of the counts.
    """

    counts: Mapping[str, Mapping[str, int]]
    sizes_px: Mapping[str, NDArray[np.float64]]
    unit: str
    _tables: tuple[Table, ...]
    _figures: dict[str, Any]

    def __repr__(self) -> str:
        totals: Counter[str] = Counter()
        for counts in self.counts.values():
            totals.update(counts)
        return f"<Description: {', '.join(f'{count:,} {label}' for label, count in totals.items())}>"

    def tables(self) -> tuple[Table, ...]:
        """Return the counts and sizes as tables."""
        return self._tables

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold; lengths are in pixels."""
        return copy.deepcopy(self._figures)

    def save_chart(self, path: str | os.PathLike[str]) -> Path:
        """Draw a chart of counts by split and class, and of sizes by class, and save it without metadata.

        Parameters
        ----------
        path : str or Path
            Path to the file; its extension determines the format: ``.png``, ``.svg`` or ``.pdf``.

        Returns
        -------
        path : Path

        Raises
        ------
        ValueError
            If the extension is another.
        """
        return save_figure(draw_chart(self.counts, self.sizes_px, self.unit), path)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per split and class, with the count and the share of the split."""
        return [
            {"split": split, "class": label, self.unit: count, "share": count / sum(counts.values())}
            for split, counts in self.counts.items()
            for label, count in counts.items()
        ]


def describe(faces: FaceData) -> Description:
    """Count the images or faces of a data set by split and class, and measure their sizes.

    Only the headers of image files are read.

    Parameters
    ----------
    faces : Bunch, tuple or sequence of AnnotatedPhoto
        Data from a function of `maskkit.datasets`, whole or one split; or a tuple (paths, labels).

    Returns
    -------
    description : Description
        Can be printed with rich or displayed in a notebook.

    Raises
    ------
    TypeError
        If `faces` is another kind of data.
    DataError
        If a box lies outside its photo.
    ValueError
        If it is empty, or paths and labels differ in number.

    Examples
    --------
    >>> describe(load_faces("face-mask-12k")).save_chart("classes.png")  # doctest: +SKIP
    """
    photos = as_photos(faces)
    if photos is None:
        return _describe_faces(as_splits(faces))
    if not any(photos.values()):
        raise ValueError("faces is empty; want at least one photo.")
    return _describe_photos(photos)


def collage(
    faces: FaceData,
    *,
    n_columns: int = 6,
    n_rows: int = 4,
    tile_px: int = 112,
    size: tuple[int, int] | None = None,
    captions: bool = True,
    random_state: Any = 0,
    blur: bool = False,
) -> Image.Image:
    """Draw a random sample of the faces in one picture, each above the name of its class.

    Parameters
    ----------
    faces : Bunch, tuple or sequence of AnnotatedPhoto
        Data as in `describe`. Faces of photos are cropped to the square that the classifier would see.
    n_columns : int, >= 1, default=6
        Maximum number of columns. The tiles are grouped by class and divided among the classes as equally as
        possible; classes beyond the number of tiles are left out.
    n_rows : int, >= 1, default=4
        Maximum number of rows.
    tile_px : int, >= 32, default=112
        Side of a tile, in pixels.
    size : tuple of (int, int), optional
        Width and height of the picture in pixels, instead of `tile_px`. The tiles are the largest squares that fit.
    captions : bool, default=True
        Whether to write the names of the classes under the tiles. Names that are too long are shortened.
    random_state : int, RandomState or None, default=0
        Seed of the sample.
    blur : bool, default=False
        Whether to make the faces unrecognizable.

    Returns
    -------
    sheet : PIL.Image.Image
        RGB, without metadata.

    Raises
    ------
    ImageError
        If an image of the sample cannot be read; the message names it.
    DataError
        If a box lies outside its photo.
    TypeError
        If `faces` is another kind of data.
    ValueError
        If there is no face, or a number is out of range.
    """
    n_columns, n_rows = check_int(n_columns, "n_columns", 1), check_int(n_rows, "n_rows", 1)
    tile_px = check_int(tile_px, "tile_px", 32)
    splits = as_photos(faces)
    if splits is not None:
        photos = list(chain.from_iterable(splits.values()))
        tiles = [(photo.path, box) for photo in photos for box in photo.boxes_xyxy]
        labels = [label for photo in photos for label in photo.labels.tolist()]
    else:
        crops = as_splits(faces).values()
        tiles = [(path, None) for paths, _ in crops for path in paths]
        labels = [label for _, split_labels in crops for label in split_labels.tolist()]
    if not tiles:
        raise ValueError("faces contains no face; want at least one.")
    sheet_size = None if size is None else _check_size(size)
    chosen = choose_evenly(labels, n_columns * n_rows, check_random_state(random_state))
    pictures = [_crop_tile(*tiles[index]) for index in chosen]
    if blur:
        pictures = [blur_faces(picture, [(0, 0, *picture.size)]) for picture in pictures]
    shown = [labels[index] for index in chosen]
    return compose_tiles(
        pictures,
        shown,
        sorted(set(labels)),
        n_columns,
        (tile_px, tile_px),
        captions=None if captions else (),
        sheet_size=sheet_size,
    )


def _check_size(size: Any) -> tuple[int, int]:
    """Return width and height as ints; raise ValueError unless they are two whole numbers of at least 1."""
    sides = np.asarray(size)
    is_number = sides.shape == (2,) and sides.dtype.kind in "iuf" and np.isfinite(sides).all()
    if not is_number or (sides < 1).any() or (sides % 1 != 0).any():
        raise ValueError(f"size={size!r} is no size; want (width, height) in pixels.")
    return int(sides[0]), int(sides[1])


def _crop_tile(path: Any, box: NDArray[np.float32] | None) -> Image.Image:
    image = load_image(path)
    if box is None:
        return Image.fromarray(image)
    check_inside(box[None], (image.shape[1], image.shape[0]), name_source(path))
    return Image.fromarray(crop_square(image, box))


def _describe_faces(splits: Mapping[str, tuple[Sequence[Any], NDArray[Any]]]) -> Description:
    """Describe face crops: split -> (paths, labels)."""
    statistics: dict[str, Any] = {}
    unreadable: list[str] = []
    sizes_px: dict[str, list[NDArray[np.float64]]] = {}
    for split, (paths, labels) in splits.items():
        sizes = np.sort(_read_sizes(paths))
        unreadable += _names_without_size(paths, sizes)
        statistics[split] = {"n_images": len(paths), **_sides(sizes), "classes": {}}
        for label in np.unique(labels).tolist():
            class_sizes = sizes[labels == label]
            # Charts show the longer side, of the images whose headers can be read.
            sizes_px.setdefault(label, []).append(class_sizes[~np.isnan(class_sizes[:, 1]), 1])
            share = len(class_sizes) / len(paths)
            statistics[split]["classes"][label] = {"n_images": len(class_sizes), "share": share, **_sides(class_sizes)}
    # Both tables have a row per class, and one for the whole split, whose share is 1.
    entries = [
        (split, label, entry)
        for split, of_split in statistics.items()
        for label, entry in [*of_split["classes"].items(), ("all", of_split | {"share": 1.0})]
    ]
    count_rows = tuple((split, label, entry["n_images"], entry["share"]) for split, label, entry in entries)
    size_rows = tuple((split, label, *_side_cells(entry)) for split, label, entry in entries)
    return Description(
        {
            split: {label: entry["n_images"] for label, entry in of_split["classes"].items()}
            for split, of_split in statistics.items()
        },
        {label: np.concatenate(parts) for label, parts in sorted(sizes_px.items())},
        "images",
        (
            Table("Images by split and class", ("split", "class", "images", "share of split"), count_rows),
            Table("Sides of the images, px", ("split", "class", *_SIDE_COLUMNS), size_rows, _note(unreadable)),
        ),
        {"kind": "faces", "splits": statistics, "unreadable": unreadable},
    )


def _describe_photos(splits: Mapping[str, Sequence[AnnotatedPhoto]]) -> Description:
    """Describe photos with the boxes of their faces, by split."""
    photos = list(chain.from_iterable(splits.values()))
    # The empty arrays give the right type and shape where no photo has a face.
    labels = np.concatenate([np.empty(0, np.str_), *(photo.labels for photo in photos)])
    boxes = np.concatenate([np.empty((0, 4)), *(photo.boxes_xyxy for photo in photos)])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    per_photo = np.array([len(photo.labels) for photo in photos])
    paths = [photo.path for photo in photos]
    sizes = np.sort(_read_photo_sizes(photos))
    unreadable = _names_without_size(paths, sizes)
    sizes_px = {str(label): sides[labels == label] for label in np.unique(labels)}
    classes: dict[str, dict[str, Any]] = {
        label: {
            "n_faces": len(class_sides),
            "share": len(class_sides) / len(sides),
            "n_faces_by_size_px": _count_by_size(class_sides),
        }
        for label, class_sides in sizes_px.items()
    }
    statistics: dict[str, Any] = {
        "kind": "photos",
        "n_photos": len(photos),
        "n_photos_without_faces": int((per_photo == 0).sum()),
        "faces_per_photo": _percentiles(per_photo),
        **_sides(sizes),
        "n_faces": len(sides),
        "n_faces_by_size_px": _count_by_size(sides),
        "classes": classes,
        "unreadable": unreadable,
    }
    face_rows = tuple(
        (label, entry["n_faces"], entry["share"], *entry["n_faces_by_size_px"].values())
        for label, entry in [*classes.items(), ("all", statistics | {"share": 1.0})]
    )
    photo_row = (
        len(photos),
        statistics["n_photos_without_faces"],
        *map(_whole, statistics["faces_per_photo"].values()),
    )
    by_split = {split: _count_labels(of_split) for split, of_split in splits.items()}
    return Description(
        by_split,
        sizes_px,
        "faces",
        (
            *([_make_split_table(by_split)] if len(splits) > 1 else []),
            Table(
                "Faces by class and size, px",
                ("class", "faces", "share", *statistics["n_faces_by_size_px"]),
                face_rows,
                "The size of a face is the longer side of its box.",
            ),
            Table("Photos", ("photos", "without a face", "faces per photo: 5%", "median", "95%"), (photo_row,)),
            Table("Sides of the photos, px", _SIDE_COLUMNS, (_side_cells(statistics),), _note(unreadable)),
        ),
        statistics,
    )


def _count_labels(photos: Sequence[AnnotatedPhoto]) -> dict[str, int]:
    return dict(sorted(Counter(label for photo in photos for label in photo.labels.tolist()).items()))


def _make_split_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    cells = [(split, label, n, n / sum(of.values())) for split, of in counts.items() for label, n in of.items()]
    return Table("Faces by split and class", ("split", "class", "faces", "share of split"), tuple(cells))


def _read_sizes(paths: Sequence[Any]) -> Sizes:
    """Read width and height of each upright image from its header, (n, 2); NaN if that cannot be read."""
    headers = prefetch_map(try_header, paths)
    sizes = [(np.nan, np.nan) if header is None else header.upright_size for header in headers]
    return np.array(sizes, dtype=np.float64).reshape(-1, 2)


def _read_photo_sizes(photos: Sequence[AnnotatedPhoto]) -> Sizes:
    """Return the sizes of photos; raise DataError if a box lies outside its photo."""
    sizes = _read_sizes([photo.path for photo in photos])
    for photo, size in zip(photos, sizes, strict=True):
        if not np.isnan(size[0]):
            check_inside(photo.boxes_xyxy, (int(size[0]), int(size[1])), name_source(photo.path))
    return sizes


def _names_without_size(paths: Sequence[Any], sizes: Sizes) -> list[str]:
    return [name_source(path) for path, size in zip(paths, sizes, strict=True) if np.isnan(size[0])]


def _note(unreadable: list[str]) -> str:
    if not unreadable:
        return ""
    shown = ", ".join(unreadable[:3]) + (", ..." if len(unreadable) > 3 else "")
    return f"Without {len(unreadable)} that cannot be read: {shown}."


def _percentiles(values: NDArray[Any]) -> dict[str, float | None]:
    """Return the 5th, 50th and 95th percentile with linear interpolation; None if there is no value."""
    values = values[~np.isnan(values)]
    found = np.percentile(values, list(_PERCENTILES.values())).tolist() if values.size else [None] * 3
    return dict(zip(_PERCENTILES, found, strict=True))


def _sides(sizes: Sizes) -> dict[str, dict[str, float | None]]:
    return {"shorter_side_px": _percentiles(sizes[:, 0]), "longer_side_px": _percentiles(sizes[:, 1])}


def _side_cells(entry: Mapping[str, Any]) -> tuple[int | None, ...]:
    sides = (entry["shorter_side_px"], entry["longer_side_px"])
    return tuple(_whole(value) for side in sides for value in side.values())


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _count_by_size(sides: NDArray[np.float64]) -> dict[str, int]:
    """Count faces by the bins of their longer side."""
    # The last bin ends at infinity, so that every face is counted.
    edges = [0, *(high for _, high in SIZE_BINS.values())]
    names = (name.removesuffix(" px") for name in SIZE_BINS)
    return dict(zip(names, np.histogram(sides, edges)[0].tolist(), strict=True))
