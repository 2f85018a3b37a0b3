"""How far each engine and precision is from float32 in torch, on real faces."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.results import Parity
from benchmarks.peers.subjects import Subjects
from benchmarks.peers.timing import deal, divide, seconds_of, take_turns
from maskkit._model.classifier import MaskClassifier
from maskkit.exceptions import MaskkitError

REFERENCE = ("torch", "float32")
COMPARED = (
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
    ("auto", "auto"),
)
_N_CALIBRATION = 300


def measure_parity(subjects: Subjects) -> list[Parity]:
    """Compare labels and probabilities of the model, on faces and on those of photos."""
    folder, sizes = subjects.save_model(), subjects.sizes
    paths = list(subjects.faces.paths[: sizes.n_predict])
    if subjects.photo_faces is not None:
        paths += subjects.photo_faces.paths[: sizes.n_predict]
    parts = deal(paths, sizes.n_rounds)
    # Ranges of int8 must not be taken from the very faces that are judged, where there are others.
    others = subjects.faces.paths[sizes.n_predict :] or subjects.faces.paths
    reference = _load(folder, *REFERENCE)
    reference.predict(paths[:2])
    found = []
    for engine, precision in COMPARED:
        try:
            classifier = _load(folder, engine, precision, calibration=others[:_N_CALIBRATION])
            classifier.predict(paths[:2])
        except (MaskkitError, ValueError) as exc:
            found.append(Parity(engine, precision, 0, note=str(exc)))
            continue
        works = {"torch, float32": _judge(reference, parts), f"{engine}, {precision}": _judge(classifier, parts)}
        turns = take_turns(works, sizes.n_rounds, say=subjects.say, title="parity")
        (wanted, wanted_s), (got, got_s) = (
            (np.concatenate([turn.value for turn in taken]), seconds_of(taken)) for taken in turns.values()
        )
        equal = float((wanted.argmax(axis=1) == got.argmax(axis=1)).mean())
        largest = float(np.abs(wanted - got).max())
        found.append(Parity(engine, precision, len(got), equal, largest, divide(wanted_s, got_s)))
    return found


def _judge(classifier: MaskClassifier, parts: list[list[Path]]) -> Callable[[int], NDArray[np.float64]]:
    return lambda number: classifier.predict_proba(parts[number])


def _load(folder: Path, engine: str, precision: str, *, calibration: list[Path] | None = None) -> MaskClassifier:
    classifier = MaskClassifier.load(folder, engine=engine, precision=precision, device="cpu", cache=None)
    return classifier if precision != "int8" else classifier.quantize(calibration)
