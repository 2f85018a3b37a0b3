"""How accuracy falls as the same faces get smaller, blurred, compressed and dark: what is held and shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit.evaluation._report import name_left_out, plain
from maskkit.evaluation._worsen import CONDITIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of mean recall, from which on a condition is said to break the classifier.
BREAKING_LOSS = 0.05

Figures = Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class Robustness(Tabulated):
    """How right a classifier is on the same faces, made worse by degrees.

    Attributes
    ----------
    classes : tuple
    n_faces : int
    n_photos : int or None
        Photos that the faces are of; intervals are then taken over photos.
    left_out : dict of str to int
        Faces of classes that the classifier does not have, by label.
    unchanged : dict of str to Estimate
        ``accuracy``, ``recall`` (mean over classes) and ``recall/CLASS`` of the faces as they are.
    curves : dict
        Condition (``"size"``, ``"blur"``, ``"jpeg"``, ``"darkness"``) -> level -> such figures, from
        mild to severe.
    """

    classes: tuple[Any, ...]
    n_faces: int
    n_photos: int | None
    left_out: Mapping[str, int]
    unchanged: Figures
    curves: Mapping[str, Mapping[float, Figures]]

    def breaks_at(self) -> dict[str, float | None]:
        """Give of each condition the mildest level that costs 5 points of mean recall, None if none does."""
        limit = self.unchanged["recall"].value - BREAKING_LOSS
        return {
            name: next((level for level, figures in curve.items() if figures["recall"].value < limit), None)
            for name, curve in self.curves.items()
        }

    def metrics(self) -> dict[str, Estimate]:
        """Give every figure by its name, such as ``accuracy/size/16``."""
        metrics = dict(self.unchanged)
        for name, curve in self.curves.items():
            for level, figures in curve.items():
                metrics |= {f"{figure}/{name}/{level:g}": estimate for figure, estimate in figures.items()}
        return metrics

    def tables(self) -> tuple[Table, ...]:
        """Give accuracy and mean recall by condition and level as a table."""
        over = "" if self.n_photos is None else f" of {self.n_photos:,} photos, intervals over photos"
        rows: Rows = (
            ("as is", "", self.unchanged["accuracy"], self.unchanged["recall"]),
            *(
                (name, f"{level:g}", figures["accuracy"], figures["recall"])
                for name, curve in self.curves.items()
                for level, figures in curve.items()
            ),
        )
        units: Rows = tuple(
            (condition.name, condition.unit, "never" if level is None else f"{level:g}")
            for condition, level in zip(CONDITIONS, self.breaks_at().values(), strict=True)
        )
        columns = ("condition", "level", "accuracy", "recall")
        return (
            Table(
                f"Where {100 * BREAKING_LOSS:g} points of recall are lost",
                ("condition", "level is", "lost at"),
                units,
                name_left_out(self.left_out),
            ),
            Table(f"{self.n_faces:,} faces{over}, made worse", columns, rows, "Recall is the mean over classes."),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""

        def plain_figures(figures: Figures) -> dict[str, Any]:
            return {name: plain(estimate) for name, estimate in figures.items()}

        return {
            "kind": "robustness",
            "classes": list(self.classes),
            "n_faces": self.n_faces,
            "n_photos": self.n_photos,
            "left_out": dict(self.left_out),
            "unchanged": plain_figures(self.unchanged),
            "breaks_at": self.breaks_at(),
            "curves": {
                name: [{"level": level} | plain_figures(figures) for level, figures in curve.items()]
                for name, curve in self.curves.items()
            },
        }

    def figures(self) -> dict[str, "Figure"]:
        """Draw accuracy and the recall of each class against each condition; a matplotlib figure by name."""
        from maskkit.evaluation import _robustness_figure

        return {"robustness": _robustness_figure.draw(self)}
