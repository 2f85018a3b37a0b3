"""Printing and writing of the results of commands."""

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import typer

from maskkit._text import MAX_STEM_BYTES, escape_text, print_json, shorten_name
from maskkit.cli._options import Format

Result = TypeVar("Result")


def check_picture(path: Path | None, default: str) -> Path:
    """Return the path of a picture to be written: a new one of the user's choice, or the default, numbered if taken."""
    from maskkit._files.outputs import check_new, check_picture_format, find_free

    if path is None:
        return find_free(Path(default))
    try:
        check_picture_format(path)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--out") from exc
    return check_new(path)


def check_outside(path: Path, data: Path) -> None:
    """Raise OutputError if a picture would be written into DATA, where the next run would read it."""
    from maskkit._files.outputs import identify
    from maskkit.exceptions import OutputError

    if data.is_dir() and identify(data) in map(identify, path.absolute().parents):
        raise OutputError(f"{path}: is inside DATA, whose pictures are faces; choose a place outside with --out.")


def check_model_folder(out: Path, *, overwrite: bool) -> None:
    """Raise ModelFileError, before anything is computed, if a model cannot be saved there."""
    from maskkit._files.model_folder import check_target
    from maskkit.exceptions import ModelFileError

    check_target(out)
    if out.exists() and not overwrite:
        raise ModelFileError(f"{out}: already exists; choose another name or add --overwrite.")


class Stems:
    """Stems of the files that are written for photos, each used once, and none that a file in the folders has.

    The picture and the face crops of a photo have the same stem.
    """

    def __init__(self, *folders: Path | None):
        names = (name for folder in folders if folder is not None and folder.is_dir() for name in os.listdir(folder))
        # Some file systems ignore case.
        self._used = {stem for name in names for stem in _list_stems(name.casefold())}

    def take(self, source: str) -> str:
        """Return the stem of the source file, shortened if it is long, and numbered if it is used."""
        stem = first = shorten_name(Path(source).stem, MAX_STEM_BYTES)
        number = 2
        while stem.casefold() in self._used:
            stem, number = f"{first}-{number}", number + 1
        self._used.add(stem.casefold())
        return stem

    def save(self, source: str, folder: Path, save: Callable[[Path], object]) -> Path:
        """Pass the path of a new picture to a function that writes it; return the path.

        The next number is tried if the name is taken meanwhile: by another process, or by a face crop of this run.
        """
        from maskkit.exceptions import OutputError

        while True:
            path = folder / f"{self.take(source)}.png"
            try:
                save(path)
            except OutputError:
                if not os.path.lexists(path):
                    raise
            else:
                return path


def _list_stems(name: str) -> Iterator[str]:
    """Iterate over the stems that a file may have been named by: STEM.png, or STEM-INDEX-LABEL.png of a face crop."""
    yield Path(name).stem
    yield from (name[: found.start()] for found in re.finditer(r"(?=-\d+-)", name))


def print_written(path: object) -> None:
    """Print the path of a file or folder that was written, on standard error."""
    typer.echo(escape_text(f"written: {path}"), err=True)


def print_results(output: Format, *, table: Any, document: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Print a rich table, a JSON document, or at least one row; all rows have the same keys."""
    if output == "table":
        import rich

        rich.print(table)
    elif output == "json":
        print_json(document, indent=2)
    else:
        rows = list(rows)
        print_each(output, rows, show=print, fields=rows[0])


def print_each(
    output: Format,
    results: Iterable[Result],
    *,
    show: Callable[[Result], object],
    to_document: Callable[[Result], Any] = lambda result: result,
    to_rows: Callable[[Result], Iterable[Any]] = lambda result: [result],
    fields: Iterable[str],
) -> None:
    """Print results in the requested format, each as soon as it is computed; JSON is one list at the end.

    `show` prints a result for people, `to_document` makes it a value for JSON, and `to_rows` makes it rows of a CSV,
    whose columns are `fields`.
    """
    if output == "table":
        for result in results:
            show(result)
    elif output == "json":
        print_json([to_document(result) for result in results], indent=2)
    elif output == "jsonl":
        for result in results:
            print_json(to_document(result))
    else:
        fields = list(fields)
        writer = csv.writer(_Lines())
        writer.writerow(map(_escape_cell, fields))  # The name of a column may hold that of a class.
        for result in results:
            for row in to_rows(result):
                writer.writerow(_escape_cell(row[name]) for name in fields)


def _escape_cell(cell: Any) -> Any:
    # A line break within a cell is quoted. Other control characters would reach the terminal.
    return escape_text(cell, keep="\r\n\t") if isinstance(cell, str) else cell


class _Lines:
    """Standard output with the line endings of Unix for a CSV writer.

    A writer quotes only those line breaks that are in its own line terminator, so that this must be CR LF.
    """

    def write(self, row: str) -> None:
        sys.stdout.write(row.removesuffix("\r\n") + "\n")
