"""Places of images become rows of results."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from maskkit._batch.inputs import Place
from maskkit._batch.storage import is_url, open_storage
from maskkit._images.load import ImageSource, RgbImage, load_image
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._model.results import ROW_FIELDS, rows_of
from maskkit.exceptions import ImageError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

RESULT_FIELDS = (*ROW_FIELDS, "error")
"""Columns of the results."""

Row = dict[str, Any]

# A request to storage elsewhere is mostly waiting.
_N_FETCHERS = 16
_CROPS_AT_ONCE = 64


class _Fetched(NamedTuple):
    name: str
    source: ImageSource
    error: str | None = None


def predict_rows(predictor: "FacePredictor", cells: Iterable[tuple[Place, bytes | None]]) -> Iterator[list[Row]]:
    """Find and classify the faces of photos.

    Parameters
    ----------
    predictor : FacePredictor
    cells : iterable of (Place, bytes or None)
        From `read_cells`.

    Yields
    ------
    rows : list of dict
        Of one photo, with the keys of `RESULT_FIELDS`: one a face, or one without a face.
    """
    under_way: deque[_Fetched] = deque()

    def readable() -> Iterator[ImageSource]:
        for fetched in _fetch_ahead(cells):
            under_way.append(fetched)
            if fetched.error is None:
                yield fetched.source

    def take_unreadable() -> Iterator[list[Row]]:
        while under_way and under_way[0].error is not None:
            fetched = under_way.popleft()
            yield [_unreadable(fetched.name, fetched.error)]

    for photo in predictor.read_photos(readable()):
        yield from take_unreadable()
        name = under_way.popleft().name
        # What comes as bytes is called by its form.
        error = None if photo.error is None else name + photo.error.removeprefix(photo.name)
        yield [{**row, "source": name, "error": error} for row in rows_of(photo)]
    yield from take_unreadable()


def predict_crop_rows(predictor: "FacePredictor", cells: Iterable[tuple[Place, bytes | None]]) -> Iterator[list[Row]]:
    """Classify images of one face each; see `predict_rows`."""
    loaded = prefetch_map(_load, _fetch_ahead(cells), n_ahead=2 * _CROPS_AT_ONCE)
    for batch in in_batches(loaded, _CROPS_AT_ONCE):
        results = iter(predictor.classify_crops([image for _, image, _ in batch if image is not None]))
        for name, image, error in batch:
            if image is None:
                yield [_unreadable(name, error)]
                continue
            face = next(results)
            given = {
                "source": name,
                "status": "ok",
                "face": 0,
                "decision": face.decision,
                "label": face.label,
                "probability": face.probability,
            }
            yield [dict.fromkeys(RESULT_FIELDS) | given]


def _unreadable(name: str, error: str | None) -> Row:
    return dict.fromkeys(RESULT_FIELDS) | {"source": name, "status": "unreadable", "error": error}


def _load(fetched: _Fetched) -> tuple[str, RgbImage | None, str | None]:
    if fetched.error is not None:
        return fetched.name, None, fetched.error
    try:
        return fetched.name, load_image(fetched.source, name=fetched.name), None
    except ImageError as exc:
        return fetched.name, None, str(exc)


def _fetch_ahead(cells: Iterable[tuple[Place, bytes | None]]) -> Iterator[_Fetched]:
    # Two whole rounds: what one photo waits for, the others have.
    return prefetch_map(_fetch, cells, n_ahead=2 * _N_FETCHERS, n_workers=_N_FETCHERS)


def _fetch(cell: tuple[Place, bytes | None]) -> _Fetched:
    place, content = cell
    if content is not None:
        return _Fetched(place.name, content)
    if place.row is not None:
        return _Fetched(place.name, b"", f"{place.name}: the cell is empty.")
    if not is_url(place.source):
        return _Fetched(place.name, place.source)
    try:
        storage, path = open_storage(place.source)
        return _Fetched(place.name, storage.cat_file(path))
    except FileNotFoundError:
        return _Fetched(place.name, b"", f"{place.name}: no such file; check the path.")
    except Exception as exc:  # each storage has errors of its own
        return _Fetched(place.name, b"", f"{place.name}: cannot be fetched ({exc}).")
