"""Several data sets side by side: what is lost outside a classifier's own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit.evaluation._faces import MEANINGS, Evaluation
from maskkit.evaluation._metrics import difference
from maskkit.evaluation._report import plain
from maskkit.evaluation._slices import make_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_MISTAKES_EACH = 5


@dataclass(frozen=True, eq=False)
class Comparison(Tabulated):
    """How right a classifier is on several data sets, and what it loses outside the first.

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        By name; the first is what the others are compared with.
    """

    evaluations: Mapping[str, Evaluation]

    @property
    def reference(self) -> str:
        """Name of the first data set."""
        return next(iter(self.evaluations))

    def __getitem__(self, name: str) -> Evaluation:
        return self.evaluations[name]

    def drops(self) -> dict[str, dict[str, Estimate]]:
        """Give what each other data set loses, the worst first.

        Returns
        -------
        drops : dict
            Name -> ``accuracy`` and ``recall`` (mean over classes) of the first data set less its
            own, sorted by recall: the mean over classes does not change with their mix.
        """
        first = self.evaluations[self.reference].estimates
        drops = {
            name: {figure: difference(first[figure], evaluation.estimates[figure]) for figure in ("recall", "accuracy")}
            for name, evaluation in self.evaluations.items()
            if name != self.reference
        }
        return dict(sorted(drops.items(), key=lambda drop: -drop[1]["recall"].value))

    def metrics(self) -> dict[str, Estimate]:
        """Give the drops, the worst first, and every figure as ``DATA SET/FIGURE``."""
        drops = self.drops()
        worst = next(iter(drops.values()), {})
        metrics = {f"{figure}_drop": estimate for figure, estimate in worst.items()}
        for name, of_set in drops.items():
            metrics |= {f"{figure}_drop/{name}": estimate for figure, estimate in of_set.items()}
        for name, evaluation in self.evaluations.items():
            metrics |= {f"{name}/{figure}": estimate for figure, estimate in evaluation.metrics().items()}
        return metrics

    def tables(self) -> tuple[Table, ...]:
        """Give the drops, then figures, classes, slices and worst mistakes of all data sets side by side."""
        names = tuple(self.evaluations)
        evaluations = tuple(self.evaluations.values())
        drops: Rows = tuple(
            (name, self.evaluations[name].n_faces, drop["recall"], drop["accuracy"])
            for name, drop in self.drops().items()
        )
        shown = MEANINGS | {f"recall/{label}": f"recall of {label}" for label in evaluations[0].classes}
        n_faces: Rows = (("faces", *(evaluation.n_faces for evaluation in evaluations)),)
        figures: Rows = tuple(
            (meaning, *(evaluation.estimates[figure] for evaluation in evaluations))
            for figure, meaning in shown.items()
        )
        remarks = [
            f"{name}: {remark}" for name, evaluation in self.evaluations.items() for remark in evaluation.remarks()
        ]
        tables = [
            Table(
                f"Lost outside {self.reference}, the worst first",
                ("data set", "faces", "recall lost", "accuracy lost"),
                drops,
                "Recall is the mean over classes, so that their mix does not matter.",
            ),
            Table("Side by side", ("figure", *names), n_faces + figures, " ".join(remarks)),
            *(
                make_table(evaluation.groups, evaluation.worst_group, of=name)
                for name, evaluation in self.evaluations.items()
            ),
        ]
        mistakes: Rows = tuple(
            (name, mistake.place, str(mistake.truth), str(mistake.label), mistake.probability)
            for name, evaluation in self.evaluations.items()
            for mistake in evaluation.mistakes[:N_MISTAKES_EACH]
        )
        if mistakes:
            columns = ("data set", "file", "truth", "said", "how sure")
            tables.append(Table(f"Worst mistakes, at most {N_MISTAKES_EACH} a data set", columns, mistakes))
        return tuple(tables if drops else tables[1:])

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "kind": "comparison",
            "reference": self.reference,
            "drops": {
                name: {figure: plain(estimate) for figure, estimate in drop.items()}
                for name, drop in self.drops().items()
            },
            "metrics": {name: plain(estimate) for name, estimate in self.metrics().items()},
            "data_sets": {name: evaluation.to_dict() for name, evaluation in self.evaluations.items()},
        }

    def figures(self) -> dict[str, "Figure"]:
        """Draw the data sets side by side, and the pictures of each; matplotlib figures by name."""
        from maskkit.evaluation import _trust_figures

        estimates = {name: evaluation.estimates for name, evaluation in self.evaluations.items()}
        drawn = {"comparison": _trust_figures.draw_comparison(estimates)}
        for place, (name, evaluation) in enumerate(self.evaluations.items(), start=1):
            # Names of data sets may hold what names of files may not.
            prefix = f"{place}_{re.sub(r'[^A-Za-z0-9-]+', '_', name).strip('_')}"
            drawn |= {f"{prefix}_{figure}": picture for figure, picture in evaluation.figures().items()}
        return drawn
