"""Which faces a classifier is worse at: by size, brightness, sharpness and whatever a user knows of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.tables import Estimate, Table
from maskkit._images.load import load_image
from maskkit._images.prefetch import prefetch_map
from maskkit.evaluation._counts import SIZES
from maskkit.evaluation._data import FaceSet
from maskkit.evaluation._report import plain

# Below this, an interval of an accuracy of 0.9 is wider than 0.2: too wide to name a group the worst.
FEWEST_FACES = 30
# Side, in pixels, at which sharpness is measured: faces of any size are brought to it first.
_MEASURED_PX = 64
_MAX_GROUPS = 20
_MARK = " (!)"
_BUILT_IN = ("size", "brightness", "sharpness")


@dataclass(frozen=True, slots=True)
class Group:
    """The faces that have something in common.

    Attributes
    ----------
    slice : str
        What they are grouped by: ``"size"``, ``"brightness"``, ``"sharpness"`` or a user's column.
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
        """Whether it has too few faces to be judged."""
        return self.n_faces < FEWEST_FACES

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        estimates = {"accuracy": plain(self.accuracy), "recall": plain(self.recall)}
        return {"slice": self.slice, "name": self.name, "n_faces": self.n_faces} | estimates


@dataclass(frozen=True, eq=False)
class Column:
    """A group for each face."""

    name: str
    groups: tuple[str, ...]
    index: NDArray[np.int64]

    def select(self, rows: NDArray[np.int64]) -> "Column":
        """Keep the faces of some rows."""
        return Column(self.name, self.groups, self.index[rows])


def measure_columns(faces: FaceSet) -> list[Column]:
    """Group faces by longer side, brightness and sharpness; raises ImageError if one cannot be read."""
    sides, brightness, sharpness = np.array(
        list(prefetch_map(_measure, zip(faces.sources, faces.names, strict=True)))
    ).T
    if faces.sides_px is not None:
        sides = faces.sides_px
    thirds = np.quantile(sharpness, [1 / 3, 2 / 3])
    return [
        Column("size", tuple(SIZES), np.digitize(sides, [high for _, high in SIZES.values()][:-1])),
        # Thirds of the range 0 to 255, the same in every data set.
        Column("brightness", ("dark <85", "85-170", "bright 170+"), np.digitize(brightness, [85, 170])),
        Column("sharpness", ("blurred third", "middle third", "sharp third"), np.digitize(sharpness, thirds)),
    ]


def check_columns(given: Mapping[str, Any], n_faces: int) -> list[Column]:
    """Group faces by a user's columns.

    Raises
    ------
    ValueError
        If a column has another length, too many groups or a name that is taken.
    """
    return [_check_column(name, values, n_faces) for name, values in given.items()]


def find_worst(groups: Sequence[Group], overall: float) -> Group | None:
    """Give the group of the lowest accuracy, of those with enough faces; None if none is below all faces'."""
    judged = [group for group in groups if not group.is_small and group.accuracy.value < overall]
    return min(judged, key=lambda group: group.accuracy.value, default=None)


def mark(group: Group) -> str:
    """Name a group, with a warning mark where it has too few faces."""
    return group.name + _MARK * group.is_small


def make_table(groups: Sequence[Group], worst: Group | None, *, of: str = "") -> Table:
    """Lay the groups of a data set out, the worst one named below."""
    rows = tuple((group.slice, mark(group), group.n_faces, group.accuracy, group.recall) for group in groups)
    notes = [] if worst is None else [f"Worst: {worst.slice} {worst.name}, accuracy {worst.accuracy.value:.3f}."]
    if any(group.is_small for group in groups):
        notes.append(f"{_MARK.strip()} Fewer than {FEWEST_FACES} faces: too few to tell, never named worst.")
    return Table(
        f"By slice{of and f': {of}'}", ("slice", "group", "faces", "accuracy", "recall"), rows, " ".join(notes)
    )


def _measure(named: tuple[Any, str]) -> tuple[float, float, float]:
    """Give longer side in px, mean luma and variance of the Laplacian.

    Luma is that of ITU-R BT.601, as Pillow converts, range 0 to 255. The variance of the Laplacian
    as a measure of focus: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy",
    ICPR 3, 314-317.
    """
    source, name = named
    image = load_image(source, name=name)
    small = Image.fromarray(image).convert("L")
    if small.size != (_MEASURED_PX, _MEASURED_PX):
        small = small.resize((_MEASURED_PX, _MEASURED_PX), Image.Resampling.BILINEAR)
    grey = np.asarray(small, dtype=np.float64)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return max(image.shape[:2]), float(grey.mean()), float(laplacian.var())


def _check_column(name: str, values: Any, n_faces: int) -> Column:
    if name in _BUILT_IN:
        raise ValueError(f"slices[{name!r}] is measured already; give the column another name.")
    column = np.array([str(value) for value in values], dtype=np.str_)
    if len(column) != n_faces:
        raise ValueError(
            f"slices[{name!r}] has {len(column):,} values for {n_faces:,} faces; want one a face; "
            f"of photos, in the order of their boxes."
        )
    groups, index = np.unique(column, return_inverse=True)
    if len(groups) > _MAX_GROUPS:
        raise ValueError(
            f"slices[{name!r}] makes {len(groups):,} groups; want at most {_MAX_GROUPS}: "
            f"put numbers into ranges first, with numpy.digitize for example."
        )
    return Column(name, tuple(map(str, groups)), index)
