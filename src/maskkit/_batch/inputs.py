"""Input images of a batch run: folders, patterns, files and Parquet tables become one list."""

import glob
import io
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from maskkit._batch.columns import choose_column
from maskkit._batch.storage import full_name, is_url, open_storage
from maskkit._files.outputs import OutputFolders
from maskkit._images.formats import HEAD_BYTES, has_image_ending, is_image_head, may_be_image
from maskkit._images.listing import find_images_of, is_visible, natural_key, natural_path_key
from maskkit._images.prefetch import in_batches
from maskkit._text import hide_secrets
from maskkit.exceptions import DataError

# Names are bytes, because they need not be UTF-8.
INPUT_SCHEMA = pa.schema([("source", pa.binary()), ("row", pa.int64())])

_ROWS_PER_BATCH = 10_000
# Rows with the bytes of images are large.
_IMAGES_PER_BATCH = 16
_HEADS_PER_REQUEST = 256


class InputImage(NamedTuple):
    """Location of an image: the file `source`, or a row of the table `source`."""

    source: str
    row: int | None

    @property
    def name(self) -> str:
        """The name of the image in the results."""
        return self.source if self.row is None else f"{self.source}#{self.row}"


def list_inputs(
    sources: Iterable[str], column: str | None, on_table: Callable[[bytes], None], *, out: str | None = None
) -> Iterator[InputImage]:
    """Iterate over the images of all sources, except those in the output folder `out`.

    The images of a folder come in natural order, before those of its subfolders. `on_table` is called with the
    footer of each table that contains the bytes of images: it holds sizes, offsets and ranges of all columns.
    """
    leave_out = _make_filter(out)
    for source in sources:
        if source.rstrip("/").endswith(".parquet"):
            found: Iterator[InputImage] = chain.from_iterable(
                _list_table(*table, column, on_table)
                for table in _find_tables(source)
                if next(leave_out([table[0]], source), None)
            )
        else:
            found = (InputImage(file, None) for file in leave_out(_find_files(source), source))
        first = next(found, None)
        if first is None:
            raise DataError(f"{hide_secrets(source)}: contains no images or does not exist; check the path.")
        yield from chain([first], found)


def _make_filter(out: str | None) -> Callable[[Iterable[str], str], Iterator[str]]:
    """Return a function that leaves files out that are in the output folder."""
    local = OutputFolders([] if out is None or is_url(out) else [out])

    def leave_out(files: Iterable[str], source: str) -> Iterator[str]:
        if is_url(source):
            return (file for file in files if not file.startswith(f"{out}/"))
        local.check_source(source)
        return local.leave_out(files, source)

    return leave_out


def write_inputs(images: Iterable[InputImage], file: Any, part_size: int) -> int:
    """Write the list of images as a Parquet table with one row group per part; return the number of images."""
    n_images = 0
    with pq.ParquetWriter(file, INPUT_SCHEMA) as writer:
        for part in in_batches(images, part_size):
            rows = [{"source": encode_name(image.source), "row": image.row} for image in part]
            table = pa.Table.from_pylist(rows, schema=INPUT_SCHEMA)
            writer.write_table(table, row_group_size=part_size)
            n_images += len(part)
    return n_images


def read_inputs(file: Any, part: int) -> list[InputImage]:
    """Read the list of images of one part."""
    rows = pq.ParquetFile(file).read_row_group(part).to_pylist()
    return [InputImage(row["source"].decode("utf-8", errors="surrogatepass"), row["row"]) for row in rows]


def encode_name(name: str) -> bytes:
    """Return a name as bytes, from which it can be restored, whatever it contains."""
    return name.encode("utf-8", errors="surrogatepass")


def read_contents(images: Iterable[InputImage], column: str | None) -> Iterator[tuple[InputImage, bytes | str | None]]:
    """Iterate over images with their bytes from the table, or their location; None for files and for empty cells."""
    for table, group in groupby(images, key=lambda image: None if image.row is None else image.source):
        if table is None:
            yield from ((image, None) for image in group)
        else:
            yield from _read_rows(table, list(group), column)


def _read_rows(
    table: str, images: list[InputImage], column: str | None
) -> Iterator[tuple[InputImage, bytes | str | None]]:
    """Read rows of a table, which are in its order; only row groups with one of them are read."""
    rows: list[Any] = [image.row for image in images]
    with _open_table(table) as parquet:
        chosen = choose_column(parquet.schema_arrow, column, table)
        counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        stops = np.cumsum([0, *counts])
        if rows[-1] >= stops[-1]:
            raise DataError(f"{table}: has fewer rows than when it was listed; start again with a new folder.")
        first, last = np.searchsorted(stops, [rows[0], rows[-1]], side="right") - 1
        groups = list(range(first, last + 1))
        batches = parquet.iter_batches(batch_size=_IMAGES_PER_BATCH, row_groups=groups, columns=[chosen.name])
        cells = enumerate(chain.from_iterable(batch.column(0) for batch in batches), stops[first])
        for image in images:
            # Rows between two images, whose cells hold paths, are skipped.
            cell = next(cell for row, cell in cells if row == image.row)
            content = chosen.read(cell)
            yield image, _join(_base_of(table), content) if isinstance(content, str) else content


def _find_tables(source: str) -> Iterator[tuple[str, str]]:
    """Find the files of a table, each with the folder that its relative paths start from."""
    storage, path = open_storage(source)
    is_folder = storage.isdir(path)
    files = [path]
    if is_folder:
        files = storage.glob(f"{glob.escape(path)}/**/*.parquet")
    elif glob.has_magic(path) and not storage.exists(path):
        files = storage.glob(path)
    for file in sorted(files, key=_natural_key):
        yield full_name(storage, file), full_name(storage, posixpath.dirname(path if is_folder else file))


def _list_table(table: str, base: str, column: str | None, on_table: Callable[[bytes], None]) -> Iterator[InputImage]:
    with _open_table(table) as parquet:
        chosen = choose_column(parquet.schema_arrow, column, table)
        if chosen.holds_bytes:
            footer = io.BytesIO()
            parquet.metadata.write_metadata_file(footer)
            on_table(footer.getvalue())
            yield from (InputImage(table, row) for row in range(parquet.metadata.num_rows))
            return
        batches = parquet.iter_batches(batch_size=_ROWS_PER_BATCH, columns=[chosen.name])
        for row, cell in enumerate(chain.from_iterable(batch.column(0) for batch in batches)):
            path = chosen.read(cell)
            # An empty cell keeps its row number, so that it has a row in the results. A URL with a password stays in
            # the table, because the list of images holds none.
            is_named = isinstance(path, str) and hide_secrets(path) == path
            yield InputImage(_join(base, str(path)), None) if is_named else InputImage(table, row)


def _find_files(source: str) -> Iterator[str]:
    if not is_url(source):
        # A missing image has a row in the results, but a missing folder is an error.
        if os.path.lexists(source) or glob.has_magic(source) or has_image_ending(Path(source)):
            yield from map(os.path.abspath, find_images_of(source))
        return
    storage, path = open_storage(source)
    magic = glob.has_magic(path)
    files: Iterable[str] = []
    # HTTP servers may have no folders, and asking whether each image exists would cost a request.
    if has_image_ending(PurePosixPath(path)) and not magic:
        files = [path]
    elif magic and not storage.exists(path):
        files = _select_images(storage, _find_matches(storage, path))
    elif storage.isdir(path):
        files = _walk(storage, path)
    elif storage.exists(path):
        files = [path]
    yield from (full_name(storage, file) for file in files)


def _walk(storage: Any, folder: str, *, is_top: bool = True) -> Iterator[str]:
    """List images as `find_images_below` does: a subfolder without permission takes the place of its images.

    Other errors are raised, unlike in fsspec's own walk: a storage that cannot be reached for a moment must not change
    the list.
    """
    try:
        entries = storage.ls(folder, detail=True)
    except PermissionError:
        if is_top:
            raise
        yield folder
        return
    inside = (entry for entry in entries if entry["name"].rstrip("/") != folder.rstrip("/"))
    visible = [entry for entry in inside if is_visible(PurePosixPath(entry["name"]))]
    entries = sorted(visible, key=lambda entry: _natural_key(entry["name"]))
    yield from _select_images(storage, [entry for entry in entries if entry["type"] != "directory"])
    for entry in entries:
        if entry["type"] == "directory":
            yield from _walk(storage, entry["name"], is_top=False)


def _find_matches(storage: Any, pattern: str) -> list[dict[str, Any]]:
    """Return the files that match a pattern, except hidden ones, in natural order."""
    asked = PurePosixPath(pattern).parts
    matches = {}
    for file, entry in storage.glob(pattern, detail=True).items():
        parts = PurePosixPath(file).parts
        if entry["type"] != "directory" and all(part in asked or is_visible(PurePosixPath(part)) for part in parts):
            matches[file] = entry
    return [matches[file] for file in sorted(matches, key=lambda file: natural_path_key(PurePosixPath(file)))]


def _select_images(storage: Any, entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Iterate over the files that are images by their extension or their first bytes, or may be and cannot be read."""
    for batch in in_batches((entry["name"] for entry in entries), _HEADS_PER_REQUEST):
        unknown = [file for file in batch if not has_image_ending(PurePosixPath(file))]
        # Storages that can answer several requests at a time do so.
        heads = storage.cat_ranges(unknown, 0, HEAD_BYTES, on_error="return") if unknown else []
        images = {file for file, head in zip(unknown, heads, strict=True) if _may_be_image(file, head)}
        yield from (file for file in batch if file in images or has_image_ending(PurePosixPath(file)))


def _may_be_image(file: str, head: bytes | Exception) -> bool:
    return may_be_image(PurePosixPath(file)) if isinstance(head, Exception) else is_image_head(head)


def _natural_key(path: str) -> Any:
    return natural_key(PurePosixPath(path))


def _base_of(table: str) -> str:
    """Return the folder that the relative paths of a file of a table start from: the table itself if it is a folder."""
    head, is_folder, _ = table.partition(".parquet/")
    return f"{head}.parquet" if is_folder else posixpath.dirname(table)


def _join(base: str, path: str) -> str:
    return path if is_url(path) or os.path.isabs(path) else f"{base.rstrip('/')}/{path}"


@contextmanager
def _open_table(table: str) -> Iterator[pq.ParquetFile]:
    try:
        with fsspec.open(table, "rb") as file:
            yield pq.ParquetFile(file)
    except FileNotFoundError as exc:
        raise DataError(f"{table}: no such file; check the path.") from exc
    except (pa.ArrowInvalid, OSError) as exc:
        raise DataError(f"{table}: cannot be read as Parquet ({exc}).") from exc
