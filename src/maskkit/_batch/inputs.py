"""What is to be predicted, as one table of places; listed in a stream, on local disks or elsewhere."""

import glob
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from maskkit._batch.storage import is_url, name_at, open_storage
from maskkit._images.prefetch import in_batches
from maskkit.datasets._folders import find_images_of, has_image_ending, is_visible, natural_key
from maskkit.exceptions import DataError

INPUT_SCHEMA = pa.schema([("source", pa.string()), ("row", pa.int64())])

# Which column of a table is taken where none is named.
DEFAULT_COLUMNS = ("path", "image", "bytes")

_ROWS_AT_ONCE = 10_000


class Place(NamedTuple):
    """Where an image is: in the file `source`, or in a row of the table `source`."""

    source: str
    row: int | None

    @property
    def name(self) -> str:
        """What results call the image."""
        return self.source if self.row is None else f"{self.source}#{self.row}"


def list_places(sources: Iterable[str], column: str | None, on_content: Callable[[bytes], None]) -> Iterator[Place]:
    """List the images that folders, patterns, tables and files name.

    Parameters
    ----------
    sources : iterable of str
        Local or fsspec URLs.
    column : str or None
        Of tables.
    on_content : callable
        Is given what tells the contents of tables of images apart.

    Yields
    ------
    place : Place
        Those of a folder in natural order, those of its folders after its own.

    Raises
    ------
    DataError
        If a source holds no image, or a table no such column.
    """
    places: Iterator[Place]
    for source in sources:
        if source.rstrip("/").endswith(".parquet"):
            places = chain.from_iterable(_list_table(*table, column, on_content) for table in _find_tables(source))
        elif is_url(source):
            places = (Place(name, None) for name in _find_remote(source))
        else:
            places = (Place(os.path.abspath(path), None) for path in _find_local(source))
        first = next(places, None)
        if first is None:
            raise DataError(f"{source}: holds no images or does not exist; check it.")
        yield from chain([first], places)


def write_places(places: Iterable[Place], file: Any, part_size: int) -> int:
    """Write places as a Parquet table, one row group a part; give their number."""
    n_places = 0
    with pq.ParquetWriter(file, INPUT_SCHEMA) as writer:
        for part in in_batches(places, part_size):
            columns = [
                pa.array([place[index] for place in part], field.type) for index, field in enumerate(INPUT_SCHEMA)
            ]
            writer.write_table(pa.table(columns, schema=INPUT_SCHEMA), row_group_size=part_size)
            n_places += len(part)
    return n_places


def read_places(file: Any, part: int) -> list[Place]:
    """Read the places of a part."""
    columns = pq.ParquetFile(file).read_row_group(part).to_pydict()
    return [Place(source, row) for source, row in zip(columns["source"], columns["row"], strict=True)]


def read_cells(places: Iterable[Place], column: str | None) -> Iterator[tuple[Place, bytes | None]]:
    """Yield each place with the bytes that its table holds; None for a file, and for an empty cell."""
    for table, group in groupby(places, key=lambda place: None if place.row is None else place.source):
        if table is None:
            yield from ((place, None) for place in group)
        else:
            # Places of a table stand in its order.
            yield from _read_rows(table, list(group), column)


def _read_rows(table: str, places: list[Place], column: str | None) -> Iterator[tuple[Place, bytes | None]]:
    wanted = iter(places)
    place = next(wanted)
    with _open_table(table) as (_, parquet):
        name = choose_column(parquet.schema_arrow, column, table)
        start = 0
        for group in range(parquet.num_row_groups):
            stop = start + parquet.metadata.row_group(group).num_rows
            if place.row < stop:
                for batch in parquet.iter_batches(batch_size=16, row_groups=[group], columns=[name]):
                    for cell in batch.column(0):
                        if place.row == start:
                            yield place, cell.as_py() or None
                            following = next(wanted, None)
                            if following is None:
                                return
                            place = following
                        start += 1
            start = stop
    raise DataError(f"{table}: has fewer rows than when it was listed; begin anew in another folder.")


def choose_column(schema: pa.Schema, column: str | None, table: str) -> str:
    """Choose the column of images: the one named, else one of a usual name, else the only one there could be.

    Raises
    ------
    DataError
        If there is none, or several; the message lists them.
    """
    fit = [field.name for field in schema if _is_text(field.type) or _is_binary(field.type)]
    if column is not None:
        if column not in fit:
            raise DataError(f"{table}: has no column {column!r} of text or bytes; it has {', '.join(fit) or 'none'}.")
        return column
    usual = [name for name in DEFAULT_COLUMNS if name in fit]
    if not usual and len(fit) != 1:
        raise DataError(f"{table}: which column holds the images? Name one: {', '.join(fit) or 'none fits'}.")
    return (usual or fit)[0]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _list_table(table: str, base: str, column: str | None, on_content: Callable[[bytes], None]) -> Iterator[Place]:
    with _open_table(table) as (file, parquet):
        name = choose_column(parquet.schema_arrow, column, table)
        if _is_binary(parquet.schema_arrow.field(name).type):
            on_content(_read_footer(file))
            yield from (Place(table, row) for row in range(parquet.metadata.num_rows))
            return
        start = 0
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[name]):
            for row, path in enumerate(batch.column(0).to_pylist(), start):
                # An empty cell keeps its row, so that it gets one in the results.
                yield Place(_join(base, path), None) if path else Place(table, row)
            start += batch.num_rows


def _find_tables(source: str) -> Iterator[tuple[str, str]]:
    """Find the files of a table, and where its relative paths begin: beside the table."""
    storage, path = open_storage(source)
    if storage.isdir(path):
        files = sorted(storage.glob(f"{glob.escape(path)}/**/*.parquet"), key=_natural)
        yield from ((name_at(storage, file), name_at(storage, posixpath.dirname(path))) for file in files)
    else:
        files = [path] if not glob.has_magic(path) or storage.exists(path) else storage.glob(path)
        for file in sorted(files, key=_natural):
            yield name_at(storage, file), name_at(storage, posixpath.dirname(file))


def _find_local(source: str) -> Iterator[Path]:
    # An image that is missing gets its row; a folder that is missing is a mistake to be told.
    if os.path.lexists(source) or glob.has_magic(source) or has_image_ending(Path(source)):
        yield from find_images_of(source)


def _find_remote(source: str) -> Iterator[str]:
    storage, path = open_storage(source)
    magic = glob.has_magic(path)
    # A server of files may know no folders, and asking about every image costs a request each.
    if has_image_ending(PurePosixPath(path)) and not magic:
        yield name_at(storage, path)
    elif magic and not storage.exists(path):
        matches = (match for match in sorted(storage.glob(path)) if is_visible(PurePosixPath(match)))
        yield from (name_at(storage, match) for match in matches)
    elif storage.isdir(path):
        yield from (name_at(storage, image) for image in _walk(storage, path))
    elif storage.exists(path):
        yield name_at(storage, path)


def _walk(storage: Any, folder: str) -> Iterator[str]:
    """List as `find_images_below` does. fsspec's own walk passes over folders that cannot be read."""
    entries = [entry for entry in storage.ls(folder, detail=True) if entry["name"].rstrip("/") != folder.rstrip("/")]
    visible = sorted(
        (entry for entry in entries if is_visible(PurePosixPath(entry["name"]))),
        key=lambda entry: _natural(entry["name"]),
    )
    folders = [entry["name"] for entry in visible if entry["type"] == "directory"]
    yield from (
        entry["name"]
        for entry in visible
        if entry["type"] != "directory" and has_image_ending(PurePosixPath(entry["name"]))
    )
    for inner in folders:
        yield from _walk(storage, inner)


def _natural(path: str) -> Any:
    return natural_key(PurePosixPath(path.rstrip("/")))


def _join(base: str, path: str) -> str:
    return path if is_url(path) or os.path.isabs(path) else f"{base.rstrip('/')}/{path}"


@contextmanager
def _open_table(table: str) -> Iterator[tuple[Any, pq.ParquetFile]]:
    try:
        with fsspec.open(table, "rb") as file:
            yield file, pq.ParquetFile(file)
    except FileNotFoundError as exc:
        raise DataError(f"{table}: no such file; check the path.") from exc
    except (pa.ArrowInvalid, OSError) as exc:
        raise DataError(f"{table}: cannot be read as Parquet ({exc}).") from exc


def _read_footer(file: Any) -> bytes:
    """Give the last bytes of a Parquet file: sizes, places and ranges of all it holds.

    The file ends with the footer, its length in 4 bytes (little-endian) and ``PAR1``
    (https://parquet.apache.org/docs/file-format/).
    """
    file.seek(-8, os.SEEK_END)
    n_bytes = int.from_bytes(file.read(4), "little")
    file.seek(-8 - n_bytes, os.SEEK_END)
    return bytes(file.read(n_bytes))
