"""Parity of each engine and precision with float32 in torch, on real faces."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.results import Parity
from benchmarks.peers.subjects import Subjects
from benchmarks.peers.timing import divide, seconds_of, split_rounds, take_turns
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
    parts = split_rounds(paths, sizes.n_rounds)
    # If possible, int8 is calibrated on other faces than those that are compared.
    others = subjects.faces.paths[sizes.n_predict :] or subjects.faces.paths
    reference = _load(folder, *REFERENCE)
    reference.predict(paths[:2])
    results = []
    for engine, precision in COMPARED:
        try:
            classifier = _load(folder, engine, precision, calibration=others[:_N_CALIBRATION])
            classifier.predict(paths[:2])
        except (MaskkitError, ValueError) as exc:
            results.append(Parity(engine, precision, 0, note=str(exc)))
            continue
        works = {
            "torch, float32": _predictor(reference, parts),
            f"{engine}, {precision}": _predictor(classifier, parts),
        }
        turns = take_turns(works, sizes.n_rounds, report=subjects.report, title="parity")
        (expected, reference_s), (actual, compared_s) = (
            (np.concatenate([turn.value for turn in taken]), seconds_of(taken)) for taken in turns.values()
        )
        equal = float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean())
        largest = float(np.abs(expected - actual).max())
        results.append(Parity(engine, precision, len(actual), equal, largest, divide(reference_s, compared_s)))
    return results


def _predictor(classifier: MaskClassifier, parts: list[list[Path]]) -> Callable[[int], NDArray[np.float64]]:
    return lambda number: classifier.predict_proba(parts[number])


def _load(folder: Path, engine: str, precision: str, *, calibration: list[Path] | None = None) -> MaskClassifier:
    classifier = MaskClassifier.load(folder, engine=engine, precision=precision, device="cpu", cache=None)
    return classifier if precision != "int8" else classifier.quantize(calibration)
