"""Figures that can show any text."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from maskkit._text import escape_text


class TextSafeFigure(Figure):
    """A figure that escapes what matplotlib cannot draw, such as names of classes and files that are not UTF-8."""

    def draw(self, renderer: Any) -> None:
        """Escape all text, and draw."""
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                texts = [label.get_text() for label in axis.get_majorticklabels()]
                shown = [_escape(text) for text in texts]
                # Labels of ticks are made anew whenever the figure is drawn, so that changing them would not last.
                if shown != texts:
                    axis.set_ticks(axis.get_majorticklocs(), labels=shown, parse_math=False)
        for text in self.findobj(Text):
            assert isinstance(text, Text)
            text.set_text(_escape(text.get_text()))
        super().draw(renderer)


def _escape(text: str) -> str:
    return escape_text(text, keep="\n")
