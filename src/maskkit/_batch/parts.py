"""Results in parts, each whole or absent, and the manifest that says what they are parts of."""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from maskkit._batch.inputs import list_places, write_places
from maskkit._batch.rows import RESULT_FIELDS, Row
from maskkit._batch.storage import name_at, open_storage, written_whole
from maskkit._images.prefetch import in_batches
from maskkit.exceptions import DataError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

OutputFormat: TypeAlias = Literal["parquet", "jsonl"]

FORMAT_VERSION = 1
# Readers of Parquet pass over names that begin so: pandas.read_parquet(DIR) gives the results alone.
MANIFEST_FILE = "_manifest.json"
INPUT_FILE = "_inputs.parquet"

_ROWS_AT_ONCE = 4096

# What must be the same in every run into a folder, and what an error calls it.
_FIXED = {
    "format_version": "the version of the format",
    "model_sha256": "the model",
    "detector": "the detector",
    "crops": "crops",
    "column": "the column",
    "part_size": "the size of parts",
    "output_format": "the format",
    "inputs_sha256": "the list of images",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run into a folder is about, all that a worker is told.

    Attributes
    ----------
    out : str
        The folder: an absolute path or a URL.
    output_format : {"parquet", "jsonl"}
    crops : bool
    column : str or None
    """

    out: str
    output_format: OutputFormat
    crops: bool
    column: str | None

    def __post_init__(self) -> None:
        if self.output_format not in get_args(OutputFormat):
            raise ValueError(f"output_format={self.output_format!r} is unknown; use 'parquet' or 'jsonl'.")

    def place(self, name: str) -> tuple[Any, str]:
        """Give the file system of a file in the folder, and its path."""
        storage, folder = open_storage(self.out)
        return storage, f"{folder}/{name}"

    def part_name(self, part: int) -> str:
        """Name the file of a part."""
        return f"part-{part:06}.{self.output_format}"

    def finished(self) -> set[int]:
        """Find the parts that are there."""
        storage, folder = open_storage(self.out)
        names = (
            os.path.basename(entry["name"]) for entry in storage.ls(folder, detail=True) if entry["type"] == "file"
        )
        pattern = rf"part-(\d{{6,}})\.{self.output_format}"
        return {int(match[1]) for name in names if (match := re.fullmatch(pattern, name))}

    def write(self, part: int, rows: Iterable[list[Row]], label_type: pa.DataType) -> None:
        """Write the rows of a part, photo by photo."""
        storage, path = self.place(self.part_name(part))
        with written_whole(storage, path) as file:
            flat = ({**row, "decision": _text(row["decision"])} for of_photo in rows for row in of_photo)
            _WRITERS[self.output_format](file, flat, label_type)


def prepare(plan: Plan, predictor: "FacePredictor", sources: list[str], part_size: int) -> dict[str, Any]:
    """List the images and write the manifest, or check it against an earlier run's.

    Returns
    -------
    manifest : dict

    Raises
    ------
    DataError
        If the folder holds something else, or the results of another run.
    """
    storage, path = plan.place(MANIFEST_FILE)
    storage.makedirs(os.path.dirname(path), exist_ok=True)
    earlier = _read_manifest(storage, path)
    if earlier is None:
        _refuse_strangers(plan)
    manifest = {
        "format_version": FORMAT_VERSION,
        "maskkit": version("maskkit"),
        "sources": sources,
        "model": predictor.model_name,
        **_describe_model(predictor),
        "crops": plan.crops,
        "column": plan.column,
        "part_size": part_size,
        "output_format": plan.output_format,
    }
    # Before the images are listed, which may take an hour.
    _compare(plan, earlier, manifest)
    digest = hashlib.sha256()
    storage, inputs = plan.place(INPUT_FILE)

    def places() -> Iterator[Any]:
        for place in list_places(sources, plan.column, digest.update):
            digest.update(f"{place.name}\n".encode())
            yield place

    if earlier is None:
        with written_whole(storage, inputs) as file:
            n_images = write_places(places(), file, part_size)
    else:
        n_images = sum(1 for _ in places())
    manifest |= {
        "inputs_sha256": digest.hexdigest(),
        "n_images": n_images,
        "n_parts": math.ceil(n_images / part_size),
    }
    _compare(plan, earlier, manifest)
    if earlier is None:
        with written_whole(storage, path) as file:
            file.write((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    return manifest


def _read_manifest(storage: Any, path: str) -> dict[str, Any] | None:
    try:
        manifest = json.loads(storage.cat_file(path))
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise DataError(f"{name_at(storage, path)}: is damaged ({exc}); choose another folder.") from exc
    return dict(manifest)


def _compare(plan: Plan, earlier: dict[str, Any] | None, manifest: dict[str, Any]) -> None:
    if earlier is None:
        return
    others = [words for key, words in _FIXED.items() if key in manifest and earlier.get(key) != manifest[key]]
    if others:
        raise DataError(
            f"{plan.out}: holds the results of another run; {', '.join(others)} differ{'s' * (len(others) == 1)}. "
            f"Choose another folder, or what {MANIFEST_FILE} says."
        )


def _refuse_strangers(plan: Plan) -> None:
    storage, folder = open_storage(plan.out)
    names = sorted(os.path.basename(path.rstrip("/")) for path in storage.ls(folder, detail=False))
    # A run that ended while it listed leaves these.
    strangers = [name for name in names if name != INPUT_FILE and not name.startswith(f".{INPUT_FILE}.")]
    if strangers:
        raise DataError(f"{plan.out}: holds {strangers[0]} and no {MANIFEST_FILE}; choose an empty or a new folder.")


def _describe_model(predictor: "FacePredictor") -> dict[str, Any]:
    """Describe what the results depend on; how the model was trained, and on which machine, does not matter."""
    detector = predictor.detector
    params = detector.get_params() if hasattr(detector, "get_params") else {}
    return {"model_sha256": predictor.fingerprint(), "detector": f"{predictor.detector_name} {params}"}


def _text(decision: Any) -> str | None:
    return None if decision is None else str(decision)


def result_schema(label_type: pa.DataType) -> pa.Schema:
    """Give the columns of the results and their types."""
    kinds = dict.fromkeys(RESULT_FIELDS, pa.string())
    kinds |= dict.fromkeys(("face", "left", "top", "right", "bottom"), pa.int64())
    kinds |= dict.fromkeys(("probability", "detection_score"), pa.float64())
    return pa.schema(list((kinds | {"label": label_type}).items()))


def _write_parquet(file: IO[bytes], rows: Iterable[Row], label_type: pa.DataType) -> None:
    schema = result_schema(label_type)
    with pq.ParquetWriter(file, schema) as writer:
        for batch in in_batches(rows, _ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _write_jsonl(file: IO[bytes], rows: Iterable[Row], label_type: pa.DataType) -> None:
    for row in rows:
        file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


_WRITERS = {"parquet": _write_parquet, "jsonl": _write_jsonl}
