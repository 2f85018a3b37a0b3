"""Training history: one record per epoch, and the learning curve."""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._display.charts import add_legend
from maskkit._display.tables import Cell, Rows, Table, format_cell, to_html
from maskkit._labels import BLUE, VERMILION, color_of
from maskkit._metrics.scores import class_scores, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maskkit._display.figures import TextSafeFigure

_CURVES = (
    ("loss", "loss, training images", BLUE, "-"),
    ("validation_loss", "loss, validation images", BLUE, ":"),
    ("accuracy", "accuracy, training images", VERMILION, "-"),
    ("validation_accuracy", "accuracy, validation images", VERMILION, ":"),
)

# Placeholder color in drawings, which is replaced by the text color of the page.
_INK = "#123456"


def describe_confusion(confusion: NDArray[np.int64]) -> dict[str, Any]:
    """Return what a record holds of a confusion matrix (n_classes, n_classes): itself, and precision and recall."""
    precision, recall, _ = ([None if np.isnan(x) else x for x in scores.tolist()] for scores in class_scores(confusion))
    return {"confusion": confusion.tolist(), "precision": precision, "recall": recall}


def tabulate_epoch(record: dict[str, Any], classes: Sequence[Any], *, intervals: bool) -> tuple[Table, ...]:
    """Return the tables of the validation images of an epoch: precision and recall of each class, and confusion."""
    confusion = np.array(record["validation_confusion"])
    correct, of_class, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)

    def share(n_correct: int, n: int) -> Cell:
        estimate = wilson(n_correct, n)
        return estimate if intervals else estimate.value

    by_class: Rows = tuple(
        (str(label), int(of_class[index]), *(share(correct[index], total[index]) for total in (predicted, of_class)))
        for index, label in enumerate(classes)
    )
    rows: Rows = tuple((str(label), *row) for label, row in zip(classes, confusion.tolist(), strict=True))
    accuracy = format_cell(share(correct.sum(), confusion.sum()))
    title = f"Epoch {record['epoch']:.0f}, {confusion.sum():,} validation images: accuracy {accuracy}"
    return (
        Table(title, ("class", "images", "precision", "recall"), by_class),
        Table("Confusion: rows are true classes", ("true", *map(str, classes)), rows),
    )


class History(list[dict[str, Any]]):
    """List of one record per epoch; notebooks show its learning curve.

    A record has the keys ``epoch``, ``loss``, ``accuracy`` and ``images_per_second``. With validation images, it also
    has ``validation_loss`` and ``validation_accuracy``, weighted like those of training, and of the images counted one
    by one ``validation_confusion`` (rows are true classes, columns are predicted classes), ``validation_precision`` and
    ``validation_recall`` (one number per class; None if it is undefined), all in the order of the classes.

    `classes` are the labels. With `restores_best`, the model has the weights of the epoch with the lowest validation
    loss, and otherwise those of the last epoch.
    """

    def __init__(
        self, records: Iterable[dict[str, Any]] = (), classes: Iterable[Any] = (), *, restores_best: bool = False
    ):
        super().__init__(records)
        self.classes, self.restores_best = list(classes), restores_best

    def final(self) -> dict[str, Any]:
        """Return the record of the epoch whose weights the model has."""
        return min(self, key=lambda record: record["validation_loss"]) if self.restores_best else self[-1]

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of that epoch with intervals; none without validation images."""
        if not self or "validation_confusion" not in self.final():
            return ()
        return tabulate_epoch(self.final(), self.classes, intervals=True)

    def figure(self, ink: str = "black") -> "TextSafeFigure":
        """Draw loss and accuracy per epoch, dotted for validation images, and their precision and recall per class.

        Parameters
        ----------
        ink : color, default="black"
            Color of axes and text; the background is transparent.
        """
        from maskkit._display.figures import TextSafeFigure

        of_classes = ("validation_precision", "validation_recall") if self.tables() else ()
        n_rows = 2 if of_classes else 1
        figure = TextSafeFigure(figsize=(7.2, 2.8 * n_rows), dpi=120, layout="constrained")
        panels = figure.subplots(n_rows, 2, squeeze=False).ravel().tolist()
        for axes, metric in zip(panels, ("loss", "accuracy"), strict=False):
            for key, label, color, line in _CURVES:
                if metric in key:
                    self._draw(axes, [record.get(key) for record in self], label, color, line)
            self._finish(axes, ink)
        for axes, key in zip(panels[2:], of_classes, strict=True):
            for index, label in enumerate(self.classes):
                values = [record[key][index] if key in record else None for record in self]
                # The space is needed because matplotlib hides entries with a leading underscore.
                self._draw(axes, values, f" {label}", color_of(label, self.classes), ":")
            axes.set_title(f"{key.removeprefix('validation_')}, validation images", color=ink, fontsize=10)
            self._finish(axes, ink)
        return figure

    def _draw(self, axes: "Axes", values: list[float | None], label: str, color: str, line: str) -> None:
        points = [(record["epoch"], y) for record, y in zip(self, values, strict=True) if y is not None]
        if points:
            marker = "o" if len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), color=color, linestyle=line, marker=marker, label=label)

    def _finish(self, axes: "Axes", ink: str) -> None:
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(ink)
        axes.tick_params(colors=ink)
        axes.set_xlabel("epoch", color=ink)
        axes.locator_params(axis="x", integer=True)
        if len(self) == 1:
            axes.set_xticks([self[0]["epoch"]])
        if axes.get_legend_handles_labels()[0]:
            add_legend(axes, labelcolor=ink, fontsize=9)

    def _repr_html_(self) -> str:
        if not self:
            return "<p>No history: the head records none.</p>"
        import matplotlib

        figure = self.figure(_INK)
        figure.patch.set_alpha(0)
        file = io.StringIO()
        # Text stays text, and equal drawings give equal SVG.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "maskkit"}):
            figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        # As an element of the page, it uses the text color of light and dark pages.
        svg = file.getvalue()
        svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
        tables = "\n".join(map(to_html, self.tables()))
        return f'<div style="max-width: 720px">{svg}</div><p>{_summarize(self.final(), len(self))}</p>{tables}'


def _summarize(record: dict[str, Any], n_epochs: int) -> str:
    metrics = ", ".join(
        f"{key} {record[key]:.4f}"
        + (f" (validation {record[f'validation_{key}']:.4f})" if f"validation_{key}" in record else "")
        for key in ("loss", "accuracy")
        if key in record
    )
    return f"After epoch {record.get('epoch', n_epochs):.0f}: {metrics}"
