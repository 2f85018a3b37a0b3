"""Results in parts, each complete or absent, and the manifest that tells runs apart."""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from maskkit._batch.inputs import (
    INPUT_SCHEMA,
    InputImage,
    encode_name,
    list_inputs,
    read_contents,
    read_inputs,
    write_inputs,
)
from maskkit._batch.locations import Locations
from maskkit._batch.results import WRITERS, Row, predict_photos
from maskkit._batch.storage import full_name, is_url, open_storage, write_atomically
from maskkit._files.atomic import hold_folder
from maskkit._files.outputs import check_output_folder
from maskkit._images.decode import limit_pixels
from maskkit._text import hide_secrets, to_json
from maskkit.exceptions import DataError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

FORMAT_VERSION = 2
# Readers of Parquet skip names with a leading underscore: pandas.read_parquet(FOLDER) reads the results alone.
MANIFEST_FILE = "_manifest.json"
INPUT_FILE = "_inputs.parquet"
LOCK_FILE = ".lock"

# Entries of the manifest that must be equal in every run into a folder, and their names in messages.
_FIXED = {
    "format_version": "format version",
    "model_sha256": "model",
    "detector": "detector",
    "crops": "crops",
    "max_faces": "number of faces",
    "column": "column",
    "part_size": "part size",
    "output_format": "output format",
    "inputs_sha256": "list of images",
}


@dataclass(frozen=True, slots=True)
class Job:
    """Options of a run that every worker needs; `out` is an absolute path or a URL."""

    out: str
    output_format: str
    column: str | None
    max_px: int | None = None
    locations: Locations = field(default_factory=Locations, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The folder without a password."""
        return hide_secrets(self.out) if is_url(self.out) else self.out

    def __post_init__(self) -> None:
        if self.output_format not in WRITERS:
            raise ValueError(f"output_format={self.output_format!r} is unknown; use 'parquet' or 'jsonl'.")

    def locate(self, name: str) -> tuple[Any, str]:
        """Return the file system of a file in the folder, and its path."""
        storage, folder = open_storage(self.out)
        return storage, f"{folder}/{name}"

    def finished(self) -> set[int]:
        """Return the numbers of the parts that exist."""
        storage, folder = open_storage(self.out)
        names = (os.path.basename(path) for path in storage.ls(folder, detail=False))
        matches = (re.fullmatch(rf"part-(\d{{6,}})\.{self.output_format}", name) for name in names)
        return {int(match[1]) for match in matches if match}


@contextmanager
def take_folder(job: Job) -> Iterator[None]:
    """Make the output folder and take it for one run, before anything is listed.

    A local folder is locked by the operating system, which releases it when a process is killed. Object stores have no
    locks: there, `prepare` reads the manifest again after it has written it.

    Raises OutputError if another run has the folder.
    """
    if is_url(job.out):
        yield
        return
    with hold_folder(check_output_folder(job.out) / LOCK_FILE, job.name):
        yield


def compute_part(job: Job, predictor: "FacePredictor", part: int) -> dict[str, int]:
    """Predict the images of a part and write it; return `n_images`, `n_faces` and `n_unreadable`."""
    limit_pixels(job.max_px)
    storage, path = job.locate(INPUT_FILE)
    with storage.open(path, "rb") as file:
        images = read_inputs(file, part)
    counts = {"n_images": 0, "n_faces": 0, "n_unreadable": 0}

    def rows() -> Iterator[Row]:
        for rows_of_image in predict_photos(predictor, _read_hidden(job, images)):
            counts["n_images"] += 1
            counts["n_unreadable"] += rows_of_image[0]["status"] == "unreadable"
            for row in rows_of_image:
                counts["n_faces"] += row["face"] is not None
                yield {**row, "decision": None if row["decision"] is None else str(row["decision"])}

    storage, path = job.locate(f"part-{part:06}.{job.output_format}")
    with write_atomically(storage, path) as file:
        WRITERS[job.output_format](file, rows(), predictor.classes)
    return counts


def _read_hidden(job: Job, images: list[InputImage]) -> Iterator[tuple[InputImage, bytes | str | None]]:
    """Iterate over images, whose names have no passwords, with their bytes from a table or their location."""
    located = [job.locations.restore(image) for image in images]
    for image, (place, content) in zip(images, read_contents(located, job.column), strict=True):
        yield image, place.source if content is None and place.row is None else content


def prepare(job: Job, predictor: "FacePredictor", sources: list[str], part_size: int) -> int:
    """List the images and write the manifest, or compare it with that of an earlier run; return the number of parts.

    Raises
    ------
    DataError
        If the folder contains something else, or the results of a different run.
    """
    storage, path = job.locate(MANIFEST_FILE)
    storage.makedirs(os.path.dirname(path), exist_ok=True)
    earlier = _read_manifest(storage, path)
    if earlier is None:
        _check_folder(job)
    detector = predictor.detector
    detector_params = detector.get_params() if hasattr(detector, "get_params") else {}
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "maskkit": version("maskkit"),
        "sources": [hide_secrets(source) if is_url(source) else source for source in sources],
        "model": predictor.model_name,
        "model_sha256": predictor.fingerprint(),
        "detector": f"{predictor.detector_name} {detector_params}",
        "crops": predictor.are_crops,
        "max_faces": predictor.max_faces,
        "column": job.column,
        "part_size": part_size,
        "output_format": job.output_format,
    }
    # Compared before the images are listed, which may take an hour.
    _compare(job, earlier, manifest)
    digest = hashlib.sha256()

    def images() -> Iterator[InputImage]:
        for image in map(job.locations.hide, list_inputs(sources, job.column, digest.update, out=job.out)):
            digest.update(encode_name(f"{image.name}\n"))
            yield image

    if earlier is None:
        with write_atomically(*job.locate(INPUT_FILE)) as file:
            n_images = write_inputs(images(), file, part_size)
    else:
        n_images = sum(1 for _ in images())
    n_parts = math.ceil(n_images / part_size)
    manifest |= {"inputs_sha256": digest.hexdigest(), "n_images": n_images, "n_parts": n_parts}
    _compare(job, earlier, manifest)
    if earlier is None:
        with write_atomically(storage, path) as file:
            file.write((to_json(manifest, indent=2) + "\n").encode())
        _compare(job, _read_manifest(storage, path), manifest)
    return n_parts


def _read_manifest(storage: Any, path: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(storage.cat_file(path)))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as exc:
        raise DataError(f"{full_name(storage, path)}: is damaged ({exc}); choose another folder.") from exc


def _compare(job: Job, earlier: dict[str, Any] | None, manifest: dict[str, Any]) -> None:
    if earlier is None:
        return
    differences = [name for key, name in _FIXED.items() if key in manifest and earlier.get(key) != manifest[key]]
    if differences:
        raise DataError(
            f"{job.name}: contains the results of a different run (different {', '.join(differences)}). "
            f"Choose another folder, or the settings in {MANIFEST_FILE}."
        )


def _check_folder(job: Job) -> None:
    """Refuse a folder with other files than those of a run that was interrupted while it listed the images."""
    storage, folder = open_storage(job.out)
    names = sorted(os.path.basename(path.rstrip("/")) for path in storage.ls(folder, detail=False))
    ours = {LOCK_FILE, INPUT_FILE} if _is_input_list(job) else {LOCK_FILE}
    unexpected = [name for name in names if not (name in ours or name.startswith(f".{INPUT_FILE}."))]
    if unexpected:
        raise DataError(
            f"{job.name}: contains {unexpected[0]} and no {MANIFEST_FILE}; choose an empty or a new folder."
        )


def _is_input_list(job: Job) -> bool:
    storage, path = job.locate(INPUT_FILE)
    try:
        with storage.open(path, "rb") as file:
            return pq.read_schema(file).names == INPUT_SCHEMA.names
    except (OSError, pa.ArrowInvalid):
        return False
