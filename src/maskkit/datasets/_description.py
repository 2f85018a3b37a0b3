"""What a data set holds: counts, shares and sizes, to read, to show and to draw."""

import copy
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.charts import draw_chart, save_figure
from maskkit._display.tables import Table, Tabulated
from maskkit._images.load import name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._images.quality import SIZE_BINS
from maskkit.datasets._voc import AnnotatedPhoto

Sizes = NDArray[np.float64]
"""Shape (n, 2): shorter and longer side in pixels; NaN where a file has no readable header."""

PERCENTILES = {"p5": 5, "median": 50, "p95": 95}

# Longer sides of faces, px: name of the range -> lower end; upper ends are exclusive.


@dataclass(frozen=True, eq=False, repr=False)
class Description(Tabulated):
    """What a data set holds; made by `describe`.

    Attributes
    ----------
    counts : dict
        Split -> class -> number of images, or of faces for photos. Data without splits have the
        one split ``"all"``.
    sizes_px : dict
        Class -> ndarray of the longer sides in pixels, of the images or of the boxes of faces.
    what : {"images", "faces"}
        What is counted.
    """

    counts: Mapping[str, Mapping[str, int]]
    sizes_px: Mapping[str, NDArray[np.float64]]
    what: str
    _tables: tuple[Table, ...]
    _figures: dict[str, Any]

    def __repr__(self) -> str:
        totals: Counter[str] = Counter()
        for of_split in self.counts.values():
            totals.update(of_split)
        return f"<Description: {', '.join(f'{count:,} {label}' for label, count in totals.items())}>"

    def tables(self) -> tuple[Table, ...]:
        """Give the figures as tables to show."""
        return self._tables

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold; lengths are in pixels."""
        return copy.deepcopy(self._figures)

    def save_chart(self, path: str | os.PathLike[str]) -> Path:
        """Draw counts by split and class, and sizes by class, into a file without metadata.

        Parameters
        ----------
        path : str or Path
            The ending chooses the format: ``.png``, ``.svg`` or ``.pdf``.

        Returns
        -------
        path : Path

        Raises
        ------
        ValueError
            If the ending is another.
        """
        return save_figure(draw_chart(self.counts, self.sizes_px, self.what), path)

    def rows(self) -> list[dict[str, Any]]:
        """Give a row a class of each split: how many there are, and their share of the split."""
        return [
            {"split": split, "class": label, self.what: count, "share": count / sum(counts.values())}
            for split, counts in self.counts.items()
            for label, count in counts.items()
        ]


def describe_faces(splits: Mapping[str, tuple[Sequence[Any], NDArray[Any]]]) -> Description:
    """Describe images of one face each: split -> (paths, labels)."""
    counts: dict[str, dict[str, int]] = {}
    figures: dict[str, Any] = {}
    unreadable: list[str] = []
    count_rows: list[tuple[str | int | float | None, ...]] = []
    size_rows: list[tuple[str | int | float | None, ...]] = []
    sizes_of: dict[str, list[NDArray[np.float64]]] = {}
    for split, (paths, labels) in splits.items():
        sizes = read_sizes(paths)
        unreadable += _names_without_size(paths, sizes)
        names, numbers = np.unique(labels, return_counts=True)
        counts[split] = dict(zip(map(str, names), numbers.tolist(), strict=True))
        figures[split] = {"n_images": len(paths), **_sides(sizes), "classes": {}}
        for label, number in counts[split].items():
            of_class = sizes[labels == label]
            sizes_of.setdefault(label, []).append(of_class[~np.isnan(of_class[:, 1]), 1])
            share = number / len(paths)
            figures[split]["classes"][label] = {"n_images": number, "share": share, **_sides(of_class)}
            count_rows.append((split, label, number, share))
            size_rows.append((split, label, *_side_cells(of_class)))
        count_rows.append((split, "all", len(paths), 1.0))
        size_rows.append((split, "all", *_side_cells(sizes)))
    return Description(
        counts,
        {label: np.concatenate(parts) for label, parts in sorted(sizes_of.items())},
        "images",
        (
            Table("Images by split and class", ("split", "class", "images", "share of split"), tuple(count_rows)),
            Table("Sides of the images, px", ("split", "class", *_SIDE_COLUMNS), tuple(size_rows), _note(unreadable)),
        ),
        {"kind": "faces", "splits": figures, "unreadable": unreadable},
    )


def describe_photos(photos: Sequence[AnnotatedPhoto]) -> Description:
    """Describe photos with the boxes of their faces."""
    labels = np.concatenate([np.empty(0, np.str_), *(photo.labels for photo in photos)])
    boxes = np.concatenate([np.empty((0, 4)), *(photo.boxes_xyxy for photo in photos)])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    per_photo = np.array([len(photo.labels) for photo in photos])
    paths = [photo.path for photo in photos]
    sizes = read_sizes(paths)
    unreadable = _names_without_size(paths, sizes)
    sizes_px = {str(label): sides[labels == label] for label in np.unique(labels)}
    classes: dict[str, dict[str, Any]] = {
        label: {"n_faces": len(of_class), "share": len(of_class) / len(sides), "n_faces_by_size_px": _by_size(of_class)}
        for label, of_class in sizes_px.items()
    }
    everything: dict[str, Any] = {"n_faces": len(sides), "share": 1.0, "n_faces_by_size_px": _by_size(sides)}
    faces_per_photo = _percentiles(per_photo)
    n_empty = int((per_photo == 0).sum())
    return Description(
        {"all": {label: len(of_class) for label, of_class in sizes_px.items()}},
        sizes_px,
        "faces",
        (
            Table(
                "Faces by class and size, px",
                ("class", "faces", "share", *(name.removesuffix(" px") for name in SIZE_BINS)),
                tuple(
                    (label, row["n_faces"], row["share"], *row["n_faces_by_size_px"].values())
                    for label, row in [*classes.items(), ("all", everything)]
                ),
                "The size of a face is the longer side of its box.",
            ),
            Table(
                "Photos",
                ("photos", "without a face", "faces a photo: 5%", "median", "95%"),
                ((len(photos), n_empty, *map(_whole, faces_per_photo.values())),),
            ),
            Table("Sides of the photos, px", _SIDE_COLUMNS, (_side_cells(sizes),), _note(unreadable)),
        ),
        {
            "kind": "photos",
            "n_photos": len(photos),
            "n_photos_without_faces": n_empty,
            "faces_a_photo": faces_per_photo,
            **_sides(sizes),
            "n_faces": len(sides),
            "n_faces_by_size_px": everything["n_faces_by_size_px"],
            "classes": classes,
            "unreadable": unreadable,
        },
    )


def read_sizes(paths: Sequence[Any]) -> Sizes:
    """Read shorter and longer side of each file's image from its header; NaN where there is none."""
    return np.array(list(prefetch_map(_read_size, paths)), dtype=np.float64).reshape(-1, 2)


def _read_size(path: Any) -> tuple[float, float]:
    try:
        with Image.open(path) as picture:
            return min(picture.size), max(picture.size)
    except Exception:  # Pillow raises nearly anything on a broken file; the description lists it
        return float("nan"), float("nan")


def _names_without_size(paths: Sequence[Any], sizes: Sizes) -> list[str]:
    return [name_source(path) for path, size in zip(paths, sizes, strict=True) if np.isnan(size[0])]


def _note(unreadable: list[str]) -> str:
    if not unreadable:
        return ""
    shown = ", ".join(unreadable[:3]) + (", ..." if len(unreadable) > 3 else "")
    return f"Without the sides of {len(unreadable)} that cannot be read: {shown}."


_SIDE_COLUMNS = ("shorter: 5%", "median", "95%", "longer: 5%", "median", "95%")


def _percentiles(values: NDArray[Any]) -> dict[str, float | None]:
    """Give the 5th, 50th and 95th percentile, linear between values; None where there is none."""
    values = values[~np.isnan(values)]
    return {
        name: float(np.percentile(values, percentile)) if values.size else None
        for name, percentile in PERCENTILES.items()
    }


def _sides(sizes: Sizes) -> dict[str, dict[str, float | None]]:
    return {"shorter_side_px": _percentiles(sizes[:, 0]), "longer_side_px": _percentiles(sizes[:, 1])}


def _side_cells(sizes: Sizes) -> tuple[int | None, ...]:
    return tuple(_whole(value) for side in _sides(sizes).values() for value in side.values())


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _by_size(sides: NDArray[np.float64]) -> dict[str, int]:
    edges = [0, *(high for _, high in SIZE_BINS.values())]
    names = (name.removesuffix(" px") for name in SIZE_BINS)
    return dict(zip(names, np.histogram(sides, edges)[0].tolist(), strict=True))
