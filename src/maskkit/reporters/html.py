"""Reporter that writes a web page."""

import base64
import os
import platform
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskkit._display.charts import encode_figure
from maskkit._display.tables import Rows, Table, to_html
from maskkit._optional import installed_version
from maskkit._text import escape_text
from maskkit.reporters._base import Report
from maskkit.reporters._file import FileReporter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Libraries on which the numbers and the plots depend.
_LIBRARIES = ("maskkit", "torch", "openvino", "numpy", "scikit-learn", "pillow", "matplotlib")

_PX_PER_INCH = 96  # CSS's own definition
# A plot is not shrunk more than this on narrow screens, because its text would become too small; it scrolls instead.
_MIN_SCALE = 0.6

# The policy forbids the page to run scripts and to load anything, whatever a label or a file name contains.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
<main>
{body}
</main>
</body>
</html>
"""


class HtmlReporter(FileReporter):
    """Writes a web page of one file, which needs no network: all metrics, tables and plots of an evaluation.

    Parameters
    ----------
    path : str or Path, default="report.html"
        Path of the file, which is written atomically and must not exist. Its folder is created if missing.
    blur : bool, default=True
        Whether to make the faces of the worst mistakes unrecognizable.
    provenance : dict of str to str or None, default=None
        Further lines of the table of provenance, such as ``{"model": "model-3", "data": "faces of May"}``. By default,
        it contains the versions of Python and of the libraries; `maskkit evaluate` adds the command and the model.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = "report.html",
        blur: bool = True,
        provenance: Mapping[str, str] | None = None,
    ):
        self.path = path
        self.blur = blur
        self.provenance = provenance

    def report(self, evaluation: Report) -> Path:
        """Write the file and return its path, with a number if the name is taken meanwhile."""
        parts = [
            *(_draw_table(table) for table in evaluation.tables()),
            *(_draw_plot(name, figure) for name, figure in evaluation.figures(blur=self.blur).items()),
            _draw_table(_list_provenance(self.provenance or {})),
            _draw_table(_list_metrics(evaluation)),
        ]
        title = f"Evaluation: {evaluation.to_dict()['kind']}"
        style = Path(__file__).with_name("html.css").read_text(encoding="utf-8")
        return self._write(_PAGE.format(title=_escape(title), style=style, body="\n".join(parts)))


def _draw_table(table: Table) -> str:
    return f'<section class="table">\n{to_html(table)}\n</section>'


def _draw_plot(name: str, figure: "Figure") -> str:
    """Return a plot as an SVG image, which cannot run scripts and whose identifiers are its own."""
    width, height = (round(_PX_PER_INCH * inches) for inches in figure.get_size_inches())
    caption = _escape(name.replace("_", " "))
    content = base64.b64encode(encode_figure(figure, "svg")).decode("ascii")
    return (
        f'<figure><div><img alt="{caption}" width="{width}" height="{height}" '
        f'style="min-width: {round(_MIN_SCALE * width)}px" src="data:image/svg+xml;base64,{content}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _list_metrics(evaluation: Report) -> Table:
    rows: Rows = tuple((name, estimate, estimate.n) for name, estimate in evaluation.metrics().items())
    return Table("All metrics", ("metric", "value [95 % interval]", "cases"), rows)


def _list_provenance(provenance: Mapping[str, str]) -> Table:
    versions: dict[str, Any] = {"Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    versions |= {library: installed_version(library) for library in _LIBRARIES}
    rows: Rows = tuple((name, str(text)) for name, text in (dict(provenance) | versions).items() if text is not None)
    return Table("Provenance", ("what", "value"), rows)


def _escape(text: str) -> str:
    return escape(escape_text(text))
