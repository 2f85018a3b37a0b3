"""Tables of faces: CSV and Parquet files with one row per face."""

import csv
import os
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskkit._checks.columns import is_missing
from maskkit._images.boxes import check_boxes
from maskkit._labels import warn_of_labels
from maskkit._optional import require
from maskkit._text import check_path
from maskkit.datasets._faces import RESERVED, FaceBunch
from maskkit.datasets._folders import check_on_error, find_unreadable, warn_of_skipped
from maskkit.datasets._frames import Annotation, Frame, check_frame
from maskkit.datasets._photos import make_photos
from maskkit.exceptions import DataError

ENDINGS = (".csv", ".tsv", ".parquet")
BOX = ("xmin", "ymin", "xmax", "ymax")
# Columns with a meaning of their own, which `maskkit review` writes: why a row is left out, and what boxes refer to.
LEFT_OUT, FRAME = "left_out", "frame"

_FRAMES: tuple[Frame, ...] = ("stored", "upright")


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a table, and where each row stands in its file."""

    path: Path
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]

    def choose(self, names: Mapping[str, str], required: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Return columns by their roles; `names` are their names by role. One that is not required may be missing.

        A name other than the role was chosen by the user, and is required.

        Raises DataError if a required column is missing.
        """
        for role, name in names.items():
            if name not in self.columns and (role in required or name != role):
                names_wanted = "box=('LEFT', 'TOP', 'RIGHT', 'BOTTOM')" if role.startswith("box") else f"{role}='NAME'"
                raise DataError(
                    f"{self.path}: has no column {name!r}; its columns are {', '.join(map(repr, self.columns))}. "
                    f"Rename one, or pass its name: load_table(..., {names_wanted})."
                )
        return {role: self.columns[name] for role, name in names.items() if name in self.columns}

    def text(self, values: Sequence[Any], row: int, wanted: str) -> str:
        """Return a cell as text; raise DataError if it is empty."""
        value = values[row]
        if is_empty(value):
            raise DataError(
                f"{self.path}: {self.places[row]}: has no {wanted}; want one per row. Fill the cell or remove the row."
            )
        return str(value).strip()


def is_empty(value: Any) -> bool:
    """Return whether a cell of a table holds nothing."""
    return is_missing(value) or not str(value).strip()


def load_table(
    table: str | os.PathLike[str],
    *,
    path: str = "path",
    label: str = "label",
    split: str = "split",
    group: str = "group",
    box: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax"),
    on_error: Literal["raise", "skip"] = "raise",
    frame: Frame = "auto",
) -> Any:
    """Load face crops, or photos with the boxes of their faces, from a CSV or Parquet table with one row per face.

    Rows that say in a column ``left_out`` why they are left out, as those of `maskkit review` do, are not loaded.

    Parameters
    ----------
    table : str or Path
        Path to a file that ends in ``.csv`` (comma, semicolon or tab between the fields, UTF-8), ``.tsv`` or
        ``.parquet``. CSV files begin with a row of column names.
    path : str, default="path"
        Name of the column of image paths. Relative paths are relative to the folder of the table.
    label : str, default="label"
        Name of the column of classes.
    split : str, default="split"
        Name of the column of splits, such as train. A table without it is one split.
    group : str, default="group"
        Name of the column of groups, such as persons or cameras, that cross-validation should not divide. It may be
        missing. Of a table with boxes, it is ignored.
    box : tuple of str, default=("xmin", "ymin", "xmax", "ymax")
        Names of the columns of the left, top, right and bottom of a face in its photo, in pixels. A table without them
        has face crops. A row of a photo without a face has neither box nor class.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` images must exist, but none is decoded, so an unreadable image raises when it is used. With
        ``"skip"`` each image is decoded now, and missing and unreadable ones are left out with one warning.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which boxes were drawn, as in `load_photos`. ``"auto"`` takes it from a column ``frame``, if there is
        one with the same word in all rows.

    Returns
    -------
    faces : sklearn.utils.Bunch, or list of AnnotatedPhoto
        With boxes: a list of AnnotatedPhoto; or, of a table with splits, a Bunch with a list for each, and `splits`,
        dict of name -> list. Without boxes: as from `load_faces`, with names of splits in lower case, in the order of
        the table. Each split has, besides `paths` and `labels`, `columns`: a dict of the other columns, one value per
        image; and, if the table has groups, `groups`, ndarray of shape (n_images,).

    Raises
    ------
    DataError
        If the table cannot be read, a column or a cell is missing, an image does not exist, two rows contradict each
        other, or a box is empty, no number or outside its photo; the message names the line of a CSV file, or the row,
        counted from 0.
    MissingLibraryError
        If the table is a Parquet file and pyarrow is not installed.
    ValueError
        If `on_error` or `frame` is unknown, or `box` does not have four names.

    Warns
    -----
    SkippedImageWarning
        If images were left out.
    UserWarning
        If labels differ in spelling only, or rows say that they are left out.
    """
    check_on_error(on_error)
    check_frame(frame)
    if len(box) != 4:
        raise ValueError(f"box={box!r} has {len(box)} names; want four columns: left, top, right and bottom.")
    kept, note = drop_left_out(read_table(table))
    if note:
        warnings.warn(note, UserWarning, stacklevel=2)
    return load_rows(kept, path=path, label=label, split=split, group=group, box=box, on_error=on_error, frame=frame)


def load_rows(
    read: Table,
    *,
    path: str = "path",
    label: str = "label",
    split: str = "split",
    group: str = "group",
    box: tuple[str, str, str, str] = BOX,
    on_error: Literal["raise", "skip"] = "raise",
    frame: Frame = "auto",
) -> Any:
    """Return the faces of a table like `load_table`, which reads it and leaves out rows; parameters are the same."""
    stated = set(read.columns.get(FRAME, ())) if frame == "auto" else set()
    frame = next((word for word in _FRAMES if stated == {word}), frame)
    edges = [f"box[{index}]" for index in range(4)]
    roles = {"path": path, "label": label, "split": split, "group": group}
    has_boxes = tuple(box) != BOX or any(name in read.columns for name in box)
    required = ("path", "label", *(edges if has_boxes else ()))
    chosen = read.choose(roles | (dict(zip(edges, box, strict=True)) if has_boxes else {}), required)
    rows = range(len(read.places))
    splits = ["all"] * len(rows)
    if "split" in chosen:
        splits = [read.text(chosen["split"], row, "split").lower() for row in rows]
        if taken := RESERVED.intersection(splits):
            raise DataError(f"{read.path}: the split {min(taken)!r} has a name that is taken; rename it.")
    paths = [read.path.parent / read.text(chosen["path"], row, "image path") for row in rows]
    if has_boxes:
        boxes = list(zip(*(chosen[edge] for edge in edges), strict=True))
        return _load_photos(read, paths, chosen["label"], splits, boxes, on_error=on_error, frame=frame)
    return _load_crops(read, paths, splits, chosen, set(roles.values()) - {group}, on_error=on_error)


def drop_left_out(table: Table) -> tuple[Table, str]:
    """Return a table without the rows that say why they are left out, and their number and reasons, or no text.

    Raises DataError if no row remains.
    """
    if LEFT_OUT not in table.columns:
        return table, ""
    reasons = table.columns[LEFT_OUT]
    kept = [row for row, reason in enumerate(reasons) if is_empty(reason)]
    columns = {name: [values[row] for row in kept] for name, values in table.columns.items() if name != LEFT_OUT}
    counts = Counter(str(reason).strip() for reason in reasons if not is_empty(reason))
    message = ""
    if counts:
        said = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
        message = f"{table.path}: {counts.total():,} of {len(reasons):,} rows are left out: {said}."
        if not kept:
            raise DataError(f"{message} None remains; want rows with a class and an empty {LEFT_OUT}.")
    return Table(table.path, columns, [table.places[row] for row in kept]), message


def _load_crops(
    table: Table,
    paths: Sequence[Path],
    splits: Sequence[str],
    chosen: Mapping[str, Sequence[Any]],
    left_out: Collection[str],
    *,
    on_error: str,
) -> FaceBunch:
    """Return the face crops of a table, with its columns but those of `left_out`."""
    labels = [table.text(chosen["label"], row, "class") for row in range(len(paths))]
    _check_images(table, paths, labels, splits, must_exist=on_error == "raise")
    unreadable = find_unreadable(list(dict.fromkeys(paths))) if on_error == "skip" else {}
    kept = [row for row, path in enumerate(paths) if path not in unreadable]
    if not kept:
        raise DataError(f"{table.path}: none of its {len(paths)} images can be read; check their paths.")
    others = {name: values for name, values in table.columns.items() if name not in left_out}
    found = {}
    for name in dict.fromkeys(splits):
        rows = [row for row in kept if splits[row] == name]
        found[name] = FaceBunch(
            paths=[paths[row] for row in rows],
            labels=np.array([labels[row] for row in rows], dtype=np.str_),
            columns={column: [values[row] for row in rows] for column, values in others.items()},
        )
        if "group" in chosen:
            groups = [table.text(chosen["group"], row, "group") for row in rows]
            found[name]["groups"] = np.array(groups, dtype=np.str_)
    warn_of_skipped(unreadable, len(paths), "images", stacklevel=5)
    warn_of_labels(labels, str(table.path), stacklevel=5)
    return FaceBunch(splits=found, skipped=list(unreadable.items()), **(found if "split" in chosen else found["all"]))


def _load_photos(
    table: Table,
    paths: Sequence[Path],
    labels: Sequence[Any],
    splits: Sequence[str],
    boxes: Sequence[Sequence[Any]],
    *,
    on_error: Literal["raise", "skip"],
    frame: Frame,
) -> Any:
    """Return the photos of a table with a box in each row, by split if there are splits."""
    _check_images(table, paths, [""] * len(paths), splits, must_exist=on_error == "raise")
    faces: dict[Path, tuple[list[list[float]], list[str]]] = {}
    for row, (path, box) in enumerate(zip(paths, boxes, strict=True)):
        of_photo = faces.setdefault(path, ([], []))
        # A row without a box is a photo without a face.
        if not all(is_empty(edge) for edge in (*box, labels[row])):
            name = f"{table.path}: {table.places[row]}"
            face, label = _read_box(box, name), table.text(labels, row, "class")
            if any(other == face and known != label for other, known in zip(*of_photo, strict=True)):
                raise DataError(f"{name}: {path}: the same box has another class in an earlier row; keep one of them.")
            of_photo[0].append(face)
            of_photo[1].append(label)

    def read(path: Path) -> Annotation:
        return Annotation(f"{table.path}: {path}", path, None, *faces[path])

    photos = make_photos(faces, read, name=str(table.path), on_error=on_error, frame=frame)
    if set(splits) == {"all"}:
        return photos
    of_path = dict(zip(paths, splits, strict=True))
    found = {name: [photo for photo in photos if of_path[photo.path] == name] for name in dict.fromkeys(splits)}
    return FaceBunch(splits=found, **found)


def _read_box(edges: Sequence[Any], name: str) -> list[float]:
    try:
        box = [float(edge) for edge in edges]
    except (TypeError, ValueError) as exc:
        raise DataError(
            f"{name}: its box is {list(edges)!r}; want four numbers, left, top, right and bottom in pixels. Correct "
            f"them, or empty all four and the class of a photo without a face."
        ) from exc
    return check_boxes([box], 1, name)[0].tolist()


def _check_images(
    table: Table, paths: Sequence[Path], labels: Sequence[str], splits: Sequence[str], *, must_exist: bool
) -> None:
    """Raise DataError if an image is missing, or is in two rows that contradict each other."""
    first: dict[Path, int] = {}
    for row, path in enumerate(paths):
        if must_exist and not os.path.lexists(path):
            raise DataError(
                f"{table.path}: {table.places[row]}: {path}: no such file; relative paths are relative to the folder "
                f"of the table. Correct the path or remove the row."
            )
        other = first.setdefault(path, row)
        if (labels[row], splits[row]) != (labels[other], splits[other]):
            of_row, of_other = (f"{labels[at]} in {splits[at]}".removesuffix(" in all").strip() for at in (row, other))
            raise DataError(
                f"{table.path}: {table.places[row]}: {path} is {of_row}, but {of_other} in {table.places[other]}; want "
                f"one class and one split per image, or a box for each of its faces. Remove one row."
            )


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV or Parquet file; raise DataError if it cannot be read or has no rows."""
    path = check_path(path, DataError)
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: is no table by its ending; want {', '.join(ENDINGS)}.")
    try:
        table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise DataError(f"{path}: cannot be read ({reason}); check the path.") from exc
    if not table.places:
        raise DataError(f"{path}: has no rows; want one per face.")
    return table


def _read_csv(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            # Spreadsheets of some languages write semicolons.
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            lines = [(reader.line_num, fields) for fields in reader if fields]
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is not UTF-8 ({exc.reason}); save it as CSV UTF-8.") from exc
    except csv.Error as exc:
        raise DataError(f"{path}: line {reader.line_num}: is not CSV ({exc}); correct the line.") from exc
    if not lines:
        raise DataError(f"{path}: is empty; want a row of column names, and one row per face.")
    (_, header), *rows = lines
    names = [name.strip() for name in header]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: has two columns of the same name in {', '.join(map(repr, names))}; rename one.")
    for line, fields in rows:
        if len(fields) != len(names):
            raise DataError(
                f"{path}: line {line}: has {len(fields)} fields; want {len(names)}, as the first line has. "
                f"Put fields that contain {delimiter!r} in quotes."
            )
    columns = {name: [fields[place] for _, fields in rows] for place, name in enumerate(names)}
    return Table(path, columns, [f"line {line}" for line, _ in rows])


def _read_parquet(path: Path) -> Table:
    arrow = require("pyarrow", "parquet")
    parquet = require("pyarrow.parquet", "parquet")
    try:
        with path.open("rb") as file:
            table = parquet.read_table(file)
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as exc:
        raise DataError(f"{path}: cannot be read as Parquet ({exc}); write it again.") from exc
    columns = {name: table.column(name).to_pylist() for name in dict.fromkeys(table.column_names)}
    return Table(path, columns, [f"row {row}" for row in range(table.num_rows)])
