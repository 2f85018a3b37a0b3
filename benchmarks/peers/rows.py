"""Which rows there are, what each needs, and the run through them."""

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
from benchmarks.peers.subjects import FULL, Faces, Sizes, Subjects, cut_photo_faces, find_networks, mix_classes
from benchmarks.peers.training import measure_training
from maskkit._model.classifier import MaskClassifier
from maskkit.backbones._base import Weights
from maskkit.datasets import AnnotatedPhoto

# Row -> libraries of its peer. The first three share one training of the peer.
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
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Benchmark]:
    """Measure rows one after the other.

    Parameters
    ----------
    model : MaskClassifier
        Fitted, with a `TransferHead`; used by the rows about photos, memory, scaling and parity.
    paths : sequence of Path
        Images of one face each; rows that need more repeat them.
    labels : ndarray of shape (n_faces,)
    photos : sequence of AnnotatedPhoto
        With labels that mean the same.
    rows : sequence of str, optional
        Of `ROWS`; by default all that the data allow.
    backbones : sequence of str
    weights : None or {"imagenet"}
    sizes : Sizes
    say : callable
        Is told what is being done.

    Yields
    ------
    benchmark : Benchmark
        First without rows, then after each row all that there is; the last is complete.

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
        # Threads that wait for each other are slowed most, and not every side has as many.
        notes.append("The machine was busy when this began: do not trust the ratios.")
    result = Benchmark(machine, asdict(sizes), notes=tuple(notes))
    yield result
    with tempfile.TemporaryDirectory(prefix="maskkit-") as folder:
        faces = mix_classes(Faces(list(paths), labels))
        taken = list(photos)[: sizes.n_photos]
        is_judged = bool(taken) and not {"accuracy", "parity"}.isdisjoint(chosen)
        cut = cut_photo_faces(taken, labels, Path(folder) / "faces") if is_judged else None
        subjects = Subjects(faces, taken, cut, networks, model, sizes, Path(folder), say)
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
            raise ValueError(f"there is no row {', '.join(map(repr, unknown))}; there are {', '.join(ROWS)}.")
        chosen = [row for row in ROWS if row in rows]
    if (wanting := [row for row in chosen if row in PHOTO_ROWS]) and not has_photos:
        raise ValueError(f"{', '.join(wanting)} needs annotated photos, and there are none; pass them too.")
    missing = sorted({library for row in chosen for library in _PEERS[row] if find_spec(library) is None})
    if missing:
        raise ImportError(
            f"the peers of benchmark need {', '.join(missing)}; install them: pip install 'maskkit[benchmark]'"
        )
    return chosen
