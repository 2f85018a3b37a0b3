"""The file of answers: a table that training reads, replaced as a whole with each answer."""

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock, Timeout

from maskkit._files.atomic import write_file
from maskkit._files.outputs import check_output_folder
from maskkit._labels import INCORRECT, MASKED, UNMASKED, meaning_of
from maskkit._text import check_path
from maskkit.datasets._table import BOX, FRAME, LEFT_OUT, read_table
from maskkit.exceptions import OutputError

Box: TypeAlias = tuple[float, float, float, float]

# Answers that are no class: such rows have no label, and the table reader leaves them out.
NOT_A_FACE, SKIPPED = "not a face", "skipped"

TRAIN, HELD_OUT = "train", "validation"
"""Splits of the file, with the names that `maskkit train` knows."""

# One group of faces of so many is held out.
_HELD_OUT_SHARE = 4
# Longest wait for another process that writes the same file.
_LOCK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class FaceKey:
    """Identity of a face in the file: the path of its image, and its box in a photo, to a hundredth of a pixel."""

    path: Path
    box: Box | None = None


class LabelFile:
    """A CSV table of answers, one row per answered face.

    Every change reads the file again under a lock and replaces it atomically, so that a kill at any moment leaves the
    old or the new table, and several windows and processes do not lose answers of each other. The whole table of
    10,000 answers has 1 MB. Rows and columns that were added by hand stay.

    Parameters
    ----------
    path : str or Path
        Path to the file, which ends in ``.csv`` and is created by the first answer.
    has_boxes : bool
        Whether faces have boxes in photos.

    Raises
    ------
    OutputError
        If the file is something else, or cannot be created.
    DataError
        If the file is no table.
    OSError
        If its folder cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], *, has_boxes: bool):
        # A link stays, and what it leads to is replaced.
        self.path = check_path(path, OutputError).resolve()
        self.has_boxes = has_boxes
        self.columns = ["path", *(BOX if has_boxes else ()), "label", "split", LEFT_OUT, *([FRAME] * has_boxes)]
        if self.path.suffix.lower() != ".csv":
            raise OutputError(f"{path}: does not end in .csv; pass a name such as labels.csv.")
        check_output_folder(self.path.parent)
        self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_LOCK_SECONDS)
        # A folder that cannot be written to is reported now, and not when the first answer is lost.
        with self._locked():
            self.read()

    def read(self) -> dict[FaceKey, str]:
        """Return all answers of the file."""
        return {key: row[LEFT_OUT] or row["label"] for key, row in self._read()[0].items()}

    def count(self) -> dict[str, Counter[str]]:
        """Return the number of labels by class, for each split."""
        counts = {TRAIN: Counter[str](), HELD_OUT: Counter[str]()}
        for row in self._read()[0].values():
            if not row[LEFT_OUT]:
                counts.setdefault(row["split"].lower(), Counter())[row["label"]] += 1
        return counts

    def write(self, answers: Mapping[FaceKey, str | None], groups: Mapping[Path, str]) -> dict[FaceKey, str]:
        """Add or replace answers, or remove those that are None; return all answers of the file.

        `groups` maps the paths of images to groups. All faces of a group are in one split: that in which one of them
        already is, else the one that `choose_split` chooses.
        """
        with self._locked():
            rows, names = self._read()
            splits = {groups.get(key.path, ""): row["split"] for key, row in rows.items()}
            for key, answer in answers.items():
                row = rows.pop(key, None)
                if answer is None:
                    continue
                is_class = answer not in (NOT_A_FACE, SKIPPED)
                group = groups[key.path]
                edges = map(_format_edge, key.box or ())
                rows[key] = {
                    **(row or {}),
                    "path": self._relative(key.path),
                    **dict(zip(BOX, edges, strict=False)),
                    "label": answer if is_class else "",
                    "split": splits.get(group) or choose_split(group),
                    LEFT_OUT: "" if is_class else answer,
                    **({FRAME: "upright"} if self.has_boxes else {}),
                }
            self._replace(list(rows.values()), names)
        return {key: row[LEFT_OUT] or row["label"] for key, row in rows.items()}

    def _read(self) -> tuple[dict[FaceKey, dict[str, str]], Sequence[str]]:
        """Return the rows of the file by their faces, and its columns; raise OutputError if it is something else."""
        if not os.path.lexists(self.path):
            return {}, self.columns
        table = read_table(self.path)
        missing = [name for name in self.columns if name not in table.columns]
        if missing or (BOX[0] in table.columns and not self.has_boxes):
            found = f"has no column {missing[0]!r}" if missing else "holds boxes, and these faces are crops"
            raise OutputError(
                f"{self.path}: {found}, so it is no file of answers about these faces; pass another file."
            )
        rows = [dict(zip(table.columns, values, strict=True)) for values in zip(*table.columns.values(), strict=True)]
        keys = [self._key(row, place) for row, place in zip(rows, table.places, strict=True)]
        return dict(zip(keys, rows, strict=True)), list(table.columns)

    def _key(self, row: Mapping[str, str], place: str) -> FaceKey:
        try:
            box = tuple(float(row[name]) for name in BOX) if self.has_boxes else None
        except ValueError as exc:
            raise OutputError(f"{self.path}: {place}: its box is no four numbers; correct or remove the row.") from exc
        return FaceKey(_join(self.path.parent, row["path"]), box)  # type: ignore[arg-type]

    def _relative(self, path: Path) -> str:
        try:
            return Path(os.path.relpath(path, self.path.parent)).as_posix()
        except ValueError:  # another drive of Windows
            return path.as_posix()

    def _replace(self, rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> None:
        if not rows:
            self.path.unlink(missing_ok=True)  # A table without rows is none.
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, text.getvalue().encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = self._lock.acquire()
        except Timeout as exc:
            raise OutputError(f"{self.path}: another process is writing to it; try again.") from exc
        with lock:
            try:
                yield
            finally:
                # Removed while it is locked, as `hold_folder` does.
                with suppress(OSError):
                    Path(self._lock.lock_file).unlink()


def choose_split(group: str) -> str:
    """Return the split of a group of faces: a fourth of the groups is held out, always the same ones.

    The choice depends on nothing but the name of the group, so that it is the same in every run.
    """
    return HELD_OUT if hashlib.sha256(group.encode()).digest()[0] % _HELD_OUT_SHARE == 0 else TRAIN


def sort_classes(classes: Iterable[str]) -> list[str]:
    """Return classes in the order in which the page shows them: with a mask, without, worn incorrectly, then others."""
    order = [MASKED, UNMASKED, INCORRECT]
    meanings = {label: meaning_of(label) for label in classes}
    return sorted(meanings, key=lambda name: (order.index(found) if (found := meanings[name]) else len(order), name))


@cache
def _join(folder: Path, relative: str) -> Path:
    """Return the path of an image; remembered, because that takes most of the time of reading many answers again."""
    return Path(os.path.normpath(folder / relative))


def _format_edge(edge: float) -> str:
    return f"{edge:.2f}".rstrip("0").rstrip(".")
