"""Batch prediction on one machine or a cluster, in parts that a later run resumes."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maskkit._batch.errors import call_without_secrets
from maskkit._optional import require
from maskkit._text import check_path
from maskkit.exceptions import DataError, OutputError

if TYPE_CHECKING:
    from maskkit._batch.parts import Job
    from maskkit._model.classifier import MaskClassifier
    from maskkit._model.predictor import FacePredictor


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Summary of a run of `predict_batch`.

    Attributes
    ----------
    out : str
        Folder of the results: an absolute path or a URL.
    n_parts : int
        Number of parts in the folder, which is complete.
    n_parts_before : int
        Number of parts that earlier runs had finished.
    n_images, n_faces, n_unreadable : int
        Number of images, faces and unreadable images of this run.
    """

    out: str
    n_parts: int
    n_parts_before: int
    n_images: int
    n_faces: int
    n_unreadable: int

    def __str__(self) -> str:
        before = f" ({self.n_parts_before:,} from earlier runs)" if self.n_parts_before else ""
        return (
            f"{self.n_images:,} images, {self.n_faces:,} faces, {self.n_unreadable:,} unreadable; "
            f"{self.n_parts:,} parts{before}: {self.out}"
        )


def predict_batch(
    classifier: "MaskClassifier",
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    crops: bool = False,
    max_faces: int | None = None,
    column: str | None = None,
    output_format: Literal["parquet", "jsonl"] = "parquet",
    part_size: int = 10_000,
    max_px: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    verbose: int = 0,
) -> BatchSummary:
    """Detect and classify the faces of very many photos with Ray Data; needs the extra ``ray``.

    Each worker holds a copy of the model and computes one part after another. A part is complete or absent, and
    a second run into the same folder computes the missing parts.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier with a `TransferHead`. With ``device="cuda"``, and with ``"auto"`` if the cluster has GPUs,
        each worker takes one GPU.
    sources : path, URL, or iterable of these
        Folders (with their subfolders), patterns, files, and Parquet tables with paths or with the bytes of
        images. A table is a file, a folder of files or a pattern whose name ends with ``.parquet``. All of them
        are on local disks or in any storage that fsspec supports. Relative paths in a table start from the
        folder of the table.
    out : path or URL
        Folder of the results: new, empty or that of an earlier run.
    crops : bool, default=False
        Whether each image is one face, classified as by `MaskClassifier.predict` without face detection.
    max_faces : int, optional
        Largest number of faces per photo, as in `MaskClassifier.predict_faces`.
    column : str, optional
        Column of the tables. By default ``path``, ``image`` or ``bytes``, else the only column of text, bytes or
        structs with ``bytes`` or ``path``.
    output_format : {"parquet", "jsonl"}, default="parquet"
        Format of the files ``part-000000.parquet``, ... or ``part-000000.jsonl``, ... (JSON Lines).
    part_size : int, >= 1, default=10000
        Number of images per part.
    max_px : int, optional
        Largest number of pixels of an image, as in `MaskClassifier.predict_faces`.
    workers : int, >= 1, optional
        Number of workers, which share the cores of the cluster evenly. By default one per 4 cores, or one per
        GPU, which is also the most.
    address : str, optional
        Address of a Ray cluster. By default the Ray that runs in this process, else the one that `ray.init`
        finds, else a cluster on this machine for the duration of the call.
    verbose : int, default=0
        If 1, a line per part is written to standard error.

    Returns
    -------
    summary : BatchSummary
        The results are in `out`: one row per face, or one per photo without faces. Columns are ``source``, an
        absolute path, a URL or TABLE#ROW; ``status``, ``"ok"``, ``"no_face"`` or ``"unreadable"``; ``face``,
        its number in the photo, from 1; ``decision``, as text; ``label``, ``probability``, ``detection_score``,
        ``left``, ``top``, ``right``, ``bottom``, ``size_px``; ``reasons``, why the decision is uncertain, separated
        by spaces; ``error``, the reason why an image is unreadable; ``notes``, what was left out or assumed when it was
        read; ``model`` and ``model_sha256``, its name and the hash of its content; ``probability_LABEL`` for each
        class.

    Raises
    ------
    MissingLibraryError
        If Ray is not installed.
    DataError
        If a source contains no image, or `out` contains the results of a different model, options or images.
    OutputError
        If `out` is empty or a file, or another run is writing to it.
    ModelFileError
        If the classifier has a part that could not be saved.
    EngineError
        If the classifier's device is CUDA, and the cluster has no GPU.
    MaskkitError
        If a part fails for another reason than an image that cannot be read.

    Notes
    -----
    Lists of images are compared by name, and tables of bytes by their footers. Changes in the content of files
    are not detected.

    Examples
    --------
    >>> model = MaskClassifier.from_pretrained()  # doctest: +SKIP
    >>> predict_batch(model, "photos", "faces", workers=2)  # doctest: +SKIP
    >>> pandas.read_parquet("faces")  # doctest: +SKIP
    """
    for library in ("ray", "pyarrow", "fsspec"):
        require(library, "ray")
    from sklearn.utils.validation import check_is_fitted

    from maskkit._batch.parts import Job, prepare, take_folder
    from maskkit._batch.storage import full_name, open_storage
    from maskkit._checks.numbers import check_int, check_max_px

    check_is_fitted(classifier)
    predictor = classifier.predictor_.limit_faces(max_faces)
    predictor = predictor.as_crops() if crops else predictor
    part_size = check_int(part_size, "part_size", 1)
    workers = None if workers is None else check_int(workers, "workers", 1)
    source_list = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    if not source_list:
        raise ValueError("sources is empty; want at least one folder, pattern, file or table.")
    for source in source_list:
        check_path(source, DataError)
    check_path(out, OutputError)
    job = Job(full_name(*open_storage(os.fspath(out))).rstrip("/"), output_format, column, check_max_px(max_px))

    def run() -> BatchSummary:
        with take_folder(job):
            n_parts = prepare(job, predictor, [os.fspath(source) for source in source_list], part_size)
            return _compute(job, predictor, n_parts, workers=workers, address=address, verbose=verbose)

    return call_without_secrets(run)


def _compute(
    job: "Job", predictor: "FacePredictor", n_parts: int, *, workers: int | None, address: str | None, verbose: int
) -> BatchSummary:
    """Compute the parts that are missing, and return the counts."""
    from maskkit._batch.cluster import cluster, compute_parts

    missing = sorted(set(range(n_parts)) - job.finished())
    totals = {"n_images": 0, "n_faces": 0, "n_unreadable": 0}
    if missing:
        start = time.perf_counter()
        with cluster(address):
            for n_done, counts in enumerate(compute_parts(job, predictor, missing, workers), 1):
                totals = {name: total + counts[name] for name, total in totals.items()}
                if verbose:
                    rate = totals["n_images"] / (time.perf_counter() - start)
                    found = f"{counts['n_faces']:,} faces, {counts['n_unreadable']:,} unreadable"
                    print(f"{n_done:,} of {len(missing):,} parts: {found}; {rate:.1f} images/s", file=sys.stderr)
    return BatchSummary(job.name, n_parts, n_parts - len(missing), **totals)
