"""Prediction for very many images, on one machine or on many, in parts that a later run goes on with."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maskkit._optional import require

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier

__all__ = ["BatchSummary", "predict_batch"]


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What a run of `predict_batch` did.

    Attributes
    ----------
    out : str
        The folder of results: an absolute path or a URL.
    n_parts : int
        Parts that the folder now holds: all of them.
    n_parts_before : int
        Of these, the parts that earlier runs had finished.
    n_images, n_faces, n_unreadable : int
        Of this run.
    """

    out: str
    n_parts: int
    n_parts_before: int
    n_images: int
    n_faces: int
    n_unreadable: int

    def __str__(self) -> str:
        before = f", {self.n_parts_before:,} of them were there before" if self.n_parts_before else ""
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
    column: str | None = None,
    output_format: Literal["parquet", "jsonl"] = "parquet",
    part_size: int = 10_000,
    workers: int | None = None,
    address: str | None = None,
    verbose: int = 0,
) -> BatchSummary:
    """Find and classify the faces of very many photos with Ray Data; needs the extra ``ray``.

    Each worker holds the model and computes part after part. A part is there whole or not at all, and a
    second run into the same folder computes what is missing.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted, with a `TransferHead`. With ``device="cuda"`` each worker takes a GPU.
    sources : path, URL, or iterable of these
        Folders (with all below them), patterns, files, and Parquet tables of paths or of the bytes of
        images: a name that ends with ``.parquet``, be it a file, a folder of files or a pattern. On local
        disks or on any storage that fsspec knows. Relative paths in a table count from the folder that the
        table lies in.
    out : path or URL
        Folder of results, new, empty or of an earlier run.
    crops : bool, default=False
        Each image is one face: classify it as `MaskClassifier.predict` does, without looking for faces.
    column : str, optional
        Of tables. By default ``path``, ``image`` or ``bytes``, else the only column of text or bytes.
    output_format : {"parquet", "jsonl"}, default="parquet"
        Of the files ``part-000000.parquet``, ... or JSON Lines.
    part_size : int, >= 1, default=10000
        Images a part.
    workers : int, >= 1, optional
        They share the cores of the cluster evenly. By default one for every 4 cores.
    address : str, optional
        Of a Ray cluster. By default what runs in this process, else what `ray.init` finds, else
        a cluster of this machine for the time of the call.
    verbose : int, default=0
        With 1 a line a part goes to standard error.

    Returns
    -------
    summary : BatchSummary
        The results are in `out`: a row a face, or one for a photo without any. Columns are ``source``, an
        absolute path, a URL or TABLE#ROW; ``status``, ``"ok"``, ``"no_face"`` or ``"unreadable"``; ``face``,
        counted from 0; ``decision``, as text; ``label``, ``probability``, ``detection_score``, ``left``,
        ``top``, ``right``, ``bottom``; ``error``, why an image is unreadable.

    Raises
    ------
    MissingLibraryError
        If Ray is not installed.
    DataError
        If a source holds no image, or `out` holds the results of another model, other options or other
        images.
    ModelFileError
        If the classifier has a part that could not be saved.
    MaskkitError
        If a part fails for another reason than an image that cannot be read.

    Notes
    -----
    Other images are told by their names, in tables of bytes by what the table's footer says. Whether the
    content of files has changed is not looked at.

    Examples
    --------
    >>> model = MaskClassifier.from_pretrained()  # doctest: +SKIP
    >>> predict_batch(model, "photos", "faces", workers=2)  # doctest: +SKIP
    >>> pandas.read_parquet("faces")  # doctest: +SKIP
    """
    for library in ("ray", "pyarrow", "fsspec"):
        require(library, "ray")
    from sklearn.utils.validation import check_is_fitted

    from maskkit._batch.cluster import cluster, run_workers
    from maskkit._batch.parts import Plan, prepare
    from maskkit._batch.storage import is_url

    check_is_fitted(classifier)
    predictor = classifier.predictor_
    for name, value in (("part_size", part_size), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r} is too small; want at least 1.")
    named = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    places = [os.fspath(source) for source in named]
    if not places:
        raise ValueError("sources is empty; want at least one folder, pattern, file or table.")
    folder = os.fspath(out)
    plan = Plan(folder if is_url(folder) else os.path.abspath(folder), output_format, crops, column)
    n_parts = prepare(plan, predictor, places, part_size)["n_parts"]
    finished = plan.finished()
    missing = [part for part in range(n_parts) if part not in finished]
    totals = {"n_images": 0, "n_faces": 0, "n_unreadable": 0}
    if missing:
        start = time.perf_counter()
        with cluster(address):
            for n_done, counts in enumerate(run_workers(plan, predictor, missing, workers), 1):
                totals = {name: total + counts[name] for name, total in totals.items()}
                if verbose:
                    rate = totals["n_images"] / (time.perf_counter() - start)
                    found = f"{counts['n_faces']:,} faces, {counts['n_unreadable']:,} unreadable"
                    print(f"{n_done:,} of {len(missing):,} parts: {found}; {rate:.1f} images/s", file=sys.stderr)
    return BatchSummary(plan.out, n_parts, n_parts - len(missing), **totals)
