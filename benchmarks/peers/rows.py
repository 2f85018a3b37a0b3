"""The rows of the benchmark, and the function that measures them."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.crossval import measure_cross_validation
from benchmarks.peers.growth import measure_memory, measure_scaling
from benchmarks.peers.machine import describe_machine
from benchmarks.peers.parity import measure_parity
from benchmarks.peers.photos import measure_photos
from benchmarks.peers.prediction import measure_prediction
from benchmarks.peers.results import Benchmark, Row
from benchmarks.peers.subjects import FULL, Faces, Sizes, Subjects, crop_photo_faces, find_networks, mix_classes
from benchmarks.peers.training import measure_training
from maskkit._model.classifier import MaskClassifier
from maskkit.backbones._base import Weights
from maskkit.datasets import AnnotatedPhoto

# Row -> libraries that its peer needs. The first three share one training of the peer.
_PEERS: dict[str, tuple[str, ...]] = {
    "fit": ("skorch",),
    "finetune": ("skorch",),
    "accuracy": ("skorch",),
    "crossval": (),
    "predict": (),
    "photos": ("onnx", "onnxruntime"),
    "memory": (),
    "scaling": (),
    "parity": (),
}
ROWS = tuple(_PEERS)
PHOTO_ROWS = ("accuracy", "photos")
_MAX_LOAD = 1.0
_TRAINING = ("fit", "finetune", "accuracy")
_OTHERS: dict[str, Callable[[Subjects], list[Row]]] = {
    "crossval": measure_cross_validation,
    "predict": measure_prediction,
    "photos": measure_photos,
    "memory": measure_memory,
    "scaling": measure_scaling,
}


def measure(
    model: MaskClassifier,
    paths: Sequence[Path],
    labels: NDArray[Any],
    photos: Sequence[AnnotatedPhoto] = (),
    *,
    rows: Sequence[str] | None = None,
    backbones: Sequence[str] = ("resnet50", "efficientnet_lite0"),
    weights: Weights = "imagenet",
    sizes: Sizes = FULL,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[Benchmark]:
    """Measure rows one after another.

    Parameters
    ----------
    model : MaskClassifier
        Fitted classifier with a `TransferHead`; used by the rows photos, memory, scaling and parity.
    paths : sequence of Path
        Face crops; rows that need more images repeat them.
    labels : ndarray of shape (n_faces,)
    photos : sequence of AnnotatedPhoto
        Photos whose labels have the same meanings.
    rows : sequence of str, optional
        Names from `ROWS`; by default all that the data allow.
    backbones : sequence of str
    weights : None or {"imagenet"}
    sizes : Sizes
    report : callable
        Called with a progress message before each step.

    Yields
    ------
    benchmark : Benchmark
        Results so far: first without rows, then after each row; the last is complete.

    Raises
    ------
    ValueError
        If a row is unknown, or needs photos and there are none.
    ImportError
        If the library of a peer is missing.
    """
    chosen = _choose(rows, has_photos=bool(photos))
    networks, notes = find_networks(backbones, weights)
    machine = describe_machine()
    if (machine["load_average"] or 0) > _MAX_LOAD:
        # Other programs slow the sides differently, because the sides use different numbers of threads.
        notes.append("The machine was busy at the start; the ratios are not reliable.")
    result = Benchmark(machine, asdict(sizes), notes=tuple(notes))
    yield result
    with tempfile.TemporaryDirectory(prefix="maskkit-") as folder:
        faces = mix_classes(Faces(list(paths), labels))
        used_photos = list(photos)[: sizes.n_photos]
        needs_crops = bool(used_photos) and not {"accuracy", "parity"}.isdisjoint(chosen)
        photo_faces = crop_photo_faces(used_photos, labels, Path(folder) / "faces") if needs_crops else None
        subjects = Subjects(faces, used_photos, photo_faces, networks, model, sizes, Path(folder), report)
        if training := [row for row in chosen if row in _TRAINING]:
            result = replace(result, rows=tuple(measure_training(subjects, training)))
            yield result
        for name in chosen:
            if name in _OTHERS:
                result = replace(result, rows=(*result.rows, *_OTHERS[name](subjects)))
                yield result
        if "parity" in chosen:
            yield replace(result, parities=tuple(measure_parity(subjects)))


def _choose(rows: Sequence[str] | None, *, has_photos: bool) -> list[str]:
    if rows is None:
        chosen = [row for row in ROWS if has_photos or row not in PHOTO_ROWS]
    else:
        if unknown := [row for row in rows if row not in ROWS]:
            raise ValueError(f"unknown rows: {', '.join(map(repr, unknown))}; choose from {', '.join(ROWS)}.")
        chosen = [row for row in ROWS if row in rows]
    if (excluded := [row for row in chosen if row in PHOTO_ROWS]) and not has_photos:
        raise ValueError(f"{', '.join(excluded)} needs annotated photos; pass photos.")
    missing = sorted({library for row in chosen for library in _PEERS[row] if find_spec(library) is None})
    if missing:
        raise ImportError(
            f"the peers of the benchmark need {', '.join(missing)}; install them: pip install 'maskkit[benchmark]'"
        )
    return chosen
