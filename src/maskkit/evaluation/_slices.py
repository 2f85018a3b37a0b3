"""Accuracy of groups of faces: by size, brightness, sharpness, and user-defined columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskkit._checks.columns import as_column
from maskkit._display.tables import Estimate, Record, Table
from maskkit._images.load import load_image
from maskkit._images.prefetch import prefetch_map
from maskkit._images.quality import SIZE_BINS, measure_brightness_and_sharpness
from maskkit.evaluation._inputs import FaceSet

# With fewer faces, the interval of an accuracy of 0.9 is wider than 0.2, too wide to call a group the worst.
MIN_GROUP_FACES = 30
_MAX_GROUPS = 20
_MARK = " (!)"
_BUILT_IN = ("size", "brightness", "sharpness")


@dataclass(frozen=True, slots=True)
class Group(Record):
    """A group of faces with a common property.

    Attributes
    ----------
    slice : str
        Property: ``"size"``, ``"brightness"``, ``"sharpness"`` or a user-defined column.
    name : str
    n_faces : int
    accuracy : Estimate
    recall : Estimate
        Mean over the classes that occur in the group.
    """

    slice: str
    name: str
    n_faces: int
    accuracy: Estimate
    recall: Estimate

    @property
    def is_small(self) -> bool:
        """Whether the group has too few faces for a reliable estimate."""
        return self.n_faces < MIN_GROUP_FACES


@dataclass(frozen=True, eq=False)
class Column:
    """A property that assigns each face to a group."""

    name: str
    groups: tuple[str, ...]
    index: NDArray[np.int64]


def measure_columns(faces: FaceSet) -> list[Column]:
    """Group faces by longer side, brightness and sharpness; raise ImageError if one cannot be read."""
    sides, brightness, sharpness = np.array(list(prefetch_map(_measure, faces.sources, faces.names))).T
    if faces.sides_px is not None:
        sides = faces.sides_px
    thirds = np.quantile(sharpness, [1 / 3, 2 / 3])
    return [
        Column("size", tuple(SIZE_BINS), np.digitize(sides, [high for _, high in SIZE_BINS.values()][:-1])),
        # Thirds of the range from 0 to 255, the same in every data set.
        Column("brightness", ("dark <85", "85-170", "bright 170+"), np.digitize(brightness, [85, 170])),
        Column("sharpness", ("blurred third", "middle third", "sharp third"), np.digitize(sharpness, thirds)),
    ]


def find_worst(groups: Sequence[Group], overall: float) -> Group | None:
    """Return the group with the lowest accuracy among those with enough faces; None if none is below `overall`."""
    candidates = [group for group in groups if not group.is_small and group.accuracy.value < overall]
    return min(candidates, key=lambda group: group.accuracy.value, default=None)


def mark(group: Group) -> str:
    """Return the name of a group, with a warning mark if it has too few faces."""
    return group.name + _MARK * group.is_small


def make_table(groups: Sequence[Group], worst: Group | None, *, of: str = "") -> Table:
    """Build the table of groups, with the worst one in its note."""
    rows = tuple((group.slice, mark(group), group.n_faces, group.accuracy, group.recall) for group in groups)
    notes = [] if worst is None else [f"Worst: {worst.slice} {worst.name}, accuracy {worst.accuracy.value:.3f}."]
    if any(group.is_small for group in groups):
        notes.append(f"{_MARK.strip()} Fewer than {MIN_GROUP_FACES} faces: too few for a reliable estimate.")
    columns = ("slice", "group", "faces", "accuracy", "recall")
    return Table(f"By slice{of and f': {of}'}", columns, rows, " ".join(notes))


def _measure(source: Any, name: str) -> tuple[float, float, float]:
    image = load_image(source, name=name)
    return max(image.shape[:2]), *measure_brightness_and_sharpness(image)


def check_column(name: str, values: Any, n_faces: int) -> Column:
    """Group faces by a user-defined column; raise TypeError, ValueError if it cannot be used."""
    if name in _BUILT_IN:
        raise ValueError(f"slices[{name!r}] is a built-in slice; rename the column.")
    column = np.array([str(value) for value in as_column(values, f"slices[{name!r}]")], dtype=np.str_)
    if len(column) != n_faces:
        raise ValueError(
            f"slices[{name!r}] has {len(column):,} values for {n_faces:,} faces; want one per face; "
            f"for photos, in the order of their boxes."
        )
    groups, index = np.unique(column, return_inverse=True)
    if len(groups) > _MAX_GROUPS:
        raise ValueError(
            f"slices[{name!r}] has {len(groups):,} groups; want at most {_MAX_GROUPS}. "
            f"Group numbers into ranges first, for example with numpy.digitize."
        )
    return Column(name, tuple(map(str, groups)), index)
