"""Printing and writing of the results of commands."""

import csv
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import typer

from maskkit.cli._options import Format

Result = TypeVar("Result")


def check_picture_format(path: Path) -> None:
    """Raise BadParameter if pictures cannot be written in the format of the file's extension."""
    from PIL import Image

    extensions = Image.registered_extensions()
    if extensions.get(path.suffix.lower()) not in Image.SAVE:
        raise typer.BadParameter(f"{path}: unknown picture format; use .png or .jpg", param_hint="--out")


def unique_stem(source: str, used: set[str]) -> str:
    """Return the stem of the source file, numbered if another photo has used it."""
    stem, number = Path(source).stem, 2
    while stem in used:
        stem, number = f"{Path(source).stem}-{number}", number + 1
    used.add(stem)
    return stem


def print_written(path: object) -> None:
    """Print the path of a file or folder that was written, on standard error."""
    typer.echo(f"written: {path}", err=True)


def print_results(output: Format, *, table: Any, document: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Print a rich table, a JSON document, or at least one row; all rows have the same keys."""
    if output == "table":
        import rich

        rich.print(table)
    elif output == "json":
        print_json(document)
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
        print_json([to_document(result) for result in results])
    elif output == "jsonl":
        for result in results:
            print(json.dumps(to_document(result), ensure_ascii=False), flush=True)
    else:
        writer = csv.DictWriter(sys.stdout, list(fields), lineterminator="\n")
        writer.writeheader()
        for result in results:
            writer.writerows(to_rows(result))


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
