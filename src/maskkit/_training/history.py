"""Training history: one record per epoch, and the learning curve."""

import io
from typing import TYPE_CHECKING

from maskkit._labels import BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = (
    ("loss", "loss, training images", BLUE, "-"),
    ("validation_loss", "loss, held-out images", BLUE, ":"),
    ("accuracy", "accuracy, training images", VERMILION, "-"),
    ("validation_accuracy", "accuracy, held-out images", VERMILION, ":"),
)

# Placeholder color in drawings, which is replaced by the text color of the page.
_INK = "#123456"


class History(list[dict[str, float]]):
    """List of one record per epoch; notebooks show its learning curve.

    A record has the keys ``epoch``, ``loss``, ``accuracy``, ``images_per_second``, and ``validation_loss`` and
    ``validation_accuracy`` if a part was held out.
    """

    def figure(self, ink: str = "black") -> "Figure":
        """Draw loss and accuracy per epoch; dotted lines for held-out images.

        Parameters
        ----------
        ink : color, default="black"
            Color of axes and text; the background is transparent.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 2.8), dpi=120, layout="constrained")
        for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            axes.patch.set_alpha(0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[:].set_color(ink)
            axes.tick_params(colors=ink)
            axes.set_xlabel("epoch", color=ink)
            axes.locator_params(axis="x", integer=True)
            for key, label, color, line in _CURVES:
                points = [(record["epoch"], record[key]) for record in self if key in record]
                if metric in key and points:
                    marker = "o" if len(points) == 1 else None
                    axes.plot(*zip(*points, strict=True), color=color, linestyle=line, marker=marker, label=label)
            if len(self) == 1:
                axes.set_xticks([self[0]["epoch"]])
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, labelcolor=ink, fontsize=9)
        return figure

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
        return f'<div style="max-width: 720px">{svg}</div><p>{_summarize(self[-1], len(self))}</p>'


def _summarize(record: dict[str, float], n_epochs: int) -> str:
    metrics = ", ".join(
        f"{key} {record[key]:.4f}"
        + (f" (held out {record[f'validation_{key}']:.4f})" if f"validation_{key}" in record else "")
        for key in ("loss", "accuracy")
        if key in record
    )
    return f"After epoch {n_epochs}: {metrics}"
