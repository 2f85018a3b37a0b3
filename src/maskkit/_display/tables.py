"""Tables of metrics with intervals, for terminals and notebooks."""

import html
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import chain
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias

from maskkit._text import escape_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.table import Table as RichTable


def to_plain(value: Any) -> Any:
    """Convert a value to what JSON can hold: arrays become lists, keys become text, NaN becomes None."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@dataclass(frozen=True, eq=False)
class Record:
    """Base class of dataclasses that are converted to plain values."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold; NaN becomes None."""
        return {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Estimate(Record):
    """A metric with its 95 % interval.

    Parameters
    ----------
    value : float
        Value of the metric; NaN where it is undefined.
    low, high : float
        Ends of the 95 % interval.
    n : int
        Number of cases.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return format_cell(self)


Cell: TypeAlias = str | int | float | Estimate | None
"""Content of a table cell."""

Rows: TypeAlias = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table for display.

    Parameters
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuples
        One cell per column. Cells are str, int, float, `Estimate` or None; ``str(cell)`` is readable for all of them.
    note : str
        A sentence below the table; may be empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: Rows
    note: str = ""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield from _lay_out(self, min(max(options.max_width, MIN_COLUMNS), MAX_COLUMNS))


# Tables take the width of the terminal between these. Longer lines are hard to follow.
MIN_COLUMNS, MAX_COLUMNS = 40, 160
LONGEST_WORD = 24
LONGEST_HEADING = 12

_CAPTION = "caption-side: top; text-align: left; font-weight: bold; color: inherit; white-space: nowrap"
_NOTE = "text-align: left; max-width: 40em; white-space: normal; opacity: 0.75"


def format_cell(cell: Cell) -> str:
    """Format a cell as text: ``"-"`` for None and NaN; scalars of NumPy count as Python's.

    Examples
    --------
    >>> format_cell(Estimate(0.978, 0.971, 0.984, n=2500))
    '0.978 [0.971, 0.984]'
    >>> format_cell(12000), format_cell(0.5), format_cell(None)
    ('12,000', '0.500', '-')
    """
    if cell is None:
        return "-"
    if isinstance(cell, Estimate):
        value = format_cell(float(cell.value))
        return value if value == "-" else f"{value} [{cell.low:.3f}, {cell.high:.3f}]"
    if isinstance(cell, Integral):
        return f"{int(cell):,}"
    if isinstance(cell, Real):
        return "-" if math.isnan(cell) else f"{float(cell):.3f}"
    return escape_text(cell)


def format_percent(probability: float) -> str:
    """Format a probability as a percentage; only 1 is rounded to 100 %."""
    return ">99%" if 0.995 <= probability < 1 else f"{probability:.0%}"


def _lay_out(table: Table, n_columns: int) -> "Iterator[RichTable]":
    """Iterate over the blocks of a table that fits so many columns of text.

    If it is wider, headings wrap and intervals are placed below their values. If that is not enough, it is split into
    blocks that repeat the first column.
    """
    from rich.console import Console

    console = Console(width=10 * MAX_COLUMNS)
    wide = _build_table(table, n_columns, narrow=False)
    narrow = _build_table(table, n_columns, narrow=True)
    if console.measure(wide).maximum <= n_columns:
        yield wide
    elif console.measure(narrow).minimum <= n_columns or len(table.columns) <= 2:
        yield narrow
    else:
        blocks = [_select(table, range(n)) for n in range(len(table.columns) - 1, 1, -1)]
        widths = (console.measure(_build_table(block, n_columns, narrow=True)).minimum for block in blocks)
        first = next((block for block, width in zip(blocks, widths, strict=True) if width <= n_columns), blocks[-1])
        rest = _select(table, [0, *range(len(first.columns), len(table.columns))])
        yield from _lay_out(replace(first, note=""), n_columns)
        yield from _lay_out(replace(rest, title=""), n_columns)


def to_html(table: Table) -> str:
    """Convert a table to an HTML ``<table>`` with escaped text.

    It sets no color, so that it is readable on light and dark pages.
    """
    aligns = ["right" if is_number else "left" for is_number in _are_numbers(table)]

    def row(tag: str, texts: list[str]) -> str:
        return "<tr>" + "".join(
            f'<{tag} style="text-align: {align}">{html.escape(escape_text(text))}</{tag}>'
            for text, align in zip(texts, aligns, strict=True)
        ) + "</tr>"  # fmt: skip

    lines = ["<table>"]
    if table.title:
        lines.append(f'<caption style="{_CAPTION}">{html.escape(escape_text(table.title))}</caption>')
    lines += [
        f"<thead>{row('th', list(table.columns))}</thead>",
        "<tbody>",
        *(row("td", [format_cell(cell) for cell in cells]) for cells in table.rows),
        "</tbody>",
    ]
    if table.note:
        # The cell of the note spans all columns, so that it does not widen one of them.
        note = f'<td colspan="{len(table.columns)}" style="{_NOTE}">{html.escape(escape_text(table.note))}</td>'
        lines.append(f"<tfoot><tr>{note}</tr></tfoot>")
    return "\n".join([*lines, "</table>"])


def to_markdown(table: Table) -> str:
    """Convert a table to Markdown, with its title above and its note below."""

    def row(cells: Iterable[str]) -> str:
        return f"| {' | '.join(escape_text(cell).replace('|', '&#124;') for cell in cells)} |"

    lines = [row(table.columns), "|---" * len(table.columns) + "|"]
    lines += [row(map(format_cell, cells)) for cells in table.rows]
    parts = (f"**{escape_text(table.title)}**", "\n".join(lines), escape_text(table.note))
    return "\n\n".join(part for part in parts if part)


def stack_tables(tables: Iterable[Table]) -> "Group":
    """Convert tables for a terminal, with an empty line after each note."""
    from rich.console import Group

    parts: list[Table | str] = []
    for table in tables:
        parts += [table, ""] if table.note else [table]
    return Group(*parts)


class Tabulated:
    """Mixin that shows the tables of an object on terminals, by rich, and in notebooks, as HTML."""

    __slots__ = ()

    def tables(self) -> tuple[Table, ...]:
        """Return the metrics as tables."""
        raise NotImplementedError("subclasses return their tables")

    def __rich__(self) -> "Group":
        return stack_tables(self.tables())

    def _repr_html_(self) -> str:
        return "\n".join(map(to_html, self.tables()))


def _are_numbers(table: Table) -> list[bool]:
    """Return for each column whether it contains only numbers."""
    return [not any(isinstance(row[index], str) for row in table.rows) for index in range(len(table.columns))]


def _select(table: Table, columns: Iterable[int]) -> Table:
    columns = list(columns)
    return replace(
        table,
        columns=tuple(table.columns[index] for index in columns),
        rows=tuple(tuple(row[index] for index in columns) for row in table.rows),
    )


def _build_table(table: Table, n_columns: int, *, narrow: bool) -> "RichTable":
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table as RichTable
    from rich.text import Text

    # Title and note wrap at the width of the table. A minimum width keeps small tables from breaking them.
    table = replace(
        table,
        title=escape_text(table.title),
        columns=tuple(map(escape_text, table.columns)),
        note=escape_text(table.note, keep="\n"),
    )
    room = max(cell_len(table.title), min(cell_len(table.note), n_columns - 20)) + 2
    rich_table = RichTable(
        title=Text(table.title, style="bold") if table.title else None,
        caption=Text(table.note, style="dim") if table.note else None,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0) if narrow else (0, 1),
        min_width=min(room, n_columns),
    )
    rows = [[_format(cell, narrow) for cell in row] for row in table.rows]
    for index, (column, is_number) in enumerate(zip(table.columns, _are_numbers(table), strict=True)):
        # Numbers are never broken. Text wraps between words, and within words longer than LONGEST_WORD.
        heading = fold_text(column, LONGEST_HEADING) if narrow and is_number else column
        texts = [row[index] for row in rows]
        pieces = [piece for text in texts for piece in (text.split("\n") if is_number else text.split())]
        headings = heading.split("\n") if narrow and is_number else heading.split()
        width = max(map(cell_len, [*headings, *pieces]), default=1)
        rich_table.add_column(
            Text(heading),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            min_width=width if is_number else min(width, LONGEST_WORD),
            # A long name, such as a file name, folds within its column instead of widening the table.
            max_width=LONGEST_WORD if narrow and not is_number else None,
            overflow="fold",
        )
    for row in rows:
        rich_table.add_row(*map(Text, row))
    return rich_table


class _Folder(textwrap.TextWrapper):
    """Text wrapper that breaks words after underscores, as in names of classes and files."""

    wordsep_re = re.compile(r"([^_]*_+)")


def fold_text(text: str, width: int) -> str:
    """Wrap a text at spaces, and words that are longer than a line at underscores."""
    words = (_Folder(width).wrap(word) if len(word) > width else [word] for word in text.split())
    return "\n".join(textwrap.wrap(" ".join(chain.from_iterable(words)), width, break_on_hyphens=False))


def _format(cell: Cell, narrow: bool) -> str:
    text = format_cell(cell)
    if narrow and isinstance(cell, Estimate):
        return text.replace(" [", "\n[")
    return fold_text(text, LONGEST_WORD) if narrow and isinstance(cell, str) else text
