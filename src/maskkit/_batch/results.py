"""Prediction of the images of a part, and the rows of its results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from maskkit._batch.inputs import InputImage
from maskkit._batch.storage import is_url, open_storage
from maskkit._images.load import ImageSource
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._model.result_rows import row_fields, rows_of
from maskkit._text import escape_text, hide_secrets, to_json

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

Row = dict[str, Any]
Contents = Iterable[tuple[InputImage, bytes | str | None]]

# Requests to remote storage spend most of their time waiting.
_N_FETCH_THREADS = 16
_ROWS_PER_WRITE = 4096


class _Fetched(NamedTuple):
    name: str
    source: ImageSource
    error: str | None = None


def predict_photos(predictor: "FacePredictor", contents: Contents) -> Iterator[list[Row]]:
    """Iterate over the rows of each photo from `read_contents`."""
    fetch_errors: deque[str | None] = deque()

    def photos() -> Iterator[tuple[str, ImageSource]]:
        # With two images per thread, a slow request does not stop the others.
        for fetched in prefetch_map(_fetch, contents, n_ahead=2 * _N_FETCH_THREADS, n_workers=_N_FETCH_THREADS):
            fetch_errors.append(fetched.error)
            yield fetched.name, fetched.source

    for photo in predictor.read_named_photos(photos()):
        error = fetch_errors.popleft() or photo.error
        yield [{**row, "error": error} for row in rows_of(photo, predictor.classes.tolist())]


def _fetch(content: tuple[InputImage, bytes | str | None]) -> _Fetched:
    """Return an image as a local path or as bytes; empty bytes and the error if it cannot be fetched."""
    image, location = content
    if isinstance(location, bytes):
        return _Fetched(image.name, location)
    if location is None and image.row is not None:
        return _Fetched(image.name, b"", f"{image.name}: the cell is empty.")
    location = location or image.source
    if not is_url(location):
        return _Fetched(image.name, location)
    try:
        storage, path = open_storage(location)
        return _Fetched(image.name, storage.cat_file(path))
    except FileNotFoundError:
        return _Fetched(image.name, b"", f"{image.name}: no such file; check the path.")
    except Exception as exc:  # Each storage raises its own errors.
        return _Fetched(image.name, b"", f"{image.name}: cannot be fetched ({hide_secrets(str(exc))}).")


def _write_parquet(file: IO[bytes], rows: Iterable[Row], classes: NDArray[Any]) -> None:
    fields = row_fields(classes.tolist())
    types = dict.fromkeys(fields, pa.string())
    types["label"] = pa.string() if classes.dtype.kind in "UO" else pa.int64()
    types |= dict.fromkeys(("face", "left", "top", "right", "bottom", "size_px"), pa.int64())
    numbers = (name for name in fields if name == "detection_score" or name.startswith("probability"))
    types |= dict.fromkeys(numbers, pa.float64())
    schema = pa.schema(list(types.items()))
    with pq.ParquetWriter(file, schema) as writer:
        for batch in in_batches(rows, _ROWS_PER_WRITE):
            writer.write_table(pa.Table.from_pylist([_escape(row) for row in batch], schema=schema))


def _escape(row: Row) -> Row:
    """Return a row whose text is UTF-8, as Parquet requires, with names escaped that are not."""
    return {name: escape_text(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


def _write_jsonl(file: IO[bytes], rows: Iterable[Row], classes: NDArray[Any]) -> None:
    for row in rows:
        file.write((to_json(row) + "\n").encode())


WRITERS: dict[str, Callable[[IO[bytes], Iterable[Row], NDArray[Any]], None]]
WRITERS = {"parquet": _write_parquet, "jsonl": _write_jsonl}
