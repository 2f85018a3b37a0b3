"""Training on the answers, in a thread, and the figures before and after."""

import copy
import logging
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from maskkit._display.tables import Estimate
from maskkit._files.outputs import find_free
from maskkit.datasets._table import drop_left_out, load_rows, read_table
from maskkit.evaluation import Evaluation, evaluate
from maskkit.evaluation._inputs import describe_left_out
from maskkit.review._labels import HELD_OUT, TRAIN, LabelFile, sort_classes

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier

_log = logging.getLogger("maskkit.review")

# Fewer faces of a class would be learned by heart, and intervals of fewer held-out faces say nothing. Ours.
_MIN_TRAINED, _MIN_HELD_OUT = 5, 10


class Teacher:
    """Trains a copy of a model further on the answered faces, and measures both on those that are held out.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier, which stays as it is: each training goes on from it, with all answers.
    labels : LabelFile
        The file of answers.
    out : Path, optional
        Folder of the new model, numbered if it exists. By default ``NAME-model`` beside the file of answers.
    fine_tune : bool, optional
        Whether to train all layers, or only the head. By default that of the classifier.
    """

    def __init__(
        self,
        classifier: "MaskClassifier",
        labels: LabelFile,
        *,
        out: Path | None = None,
        fine_tune: bool | None = None,
    ) -> None:
        self.classifier, self.labels, self.fine_tune = classifier, labels, fine_tune
        self.out = out or labels.path.with_name(f"{labels.path.stem}-model")
        self._lock = Lock()
        self._stop = Event()
        self._state: dict[str, Any] = {"state": "idle"}

    def status(self) -> dict[str, Any]:
        """Return what is answered, what is missing, how far the training is, and the figures of the last one."""
        counts = self.labels.count()
        trained, held_out = (
            Counter({label: counts[split][label] for label in sort_classes(counts[split])})
            for split in (TRAIN, HELD_OUT)
        )
        return {"trained": trained, "held_out": held_out, "missing": find_missing(counts), **self._state}

    def start(self) -> bool:
        """Start a training; return False if one is running already, or answers are missing."""
        with self._lock:
            if self._state["state"] == "running" or find_missing(self.labels.count()):
                return False
            self._stop.clear()
            self._state = {"state": "running", "step": "Reading the answers", "epoch": 0, "epochs": 0}
        # The process need not wait for a training that is not finished: nothing is written before its end.
        Thread(target=self._run, name="maskkit-teach", daemon=True).start()
        return True

    def stop(self) -> None:
        """End the training after its current epoch; the model is not saved."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._state = {"state": "done", **self._teach()}
        except Exception as exc:  # Shown on the page, since nobody waits for this thread.
            if self._stop.is_set():
                self._state = {"state": "idle"}
                return
            _log.error("teaching failed", exc_info=exc)
            self._state = {"state": "failed", "error": f"{exc}" or type(exc).__name__}

    def _teach(self) -> dict[str, Any]:
        # Without the warning of the rows that are left out, which the page shows.
        answers, _ = drop_left_out(read_table(self.labels.path))
        faces = load_rows(answers).splits
        held_out = faces[HELD_OUT]
        self._report_step("Measuring the model before")
        before = evaluate(self.classifier, held_out)
        self._report_step("Training")
        trained = copy.copy(self.classifier)
        chosen = {} if self.fine_tune is None else {"fine_tune": self.fine_tune}
        trained.set_params(warm_start=True, callbacks=self._report_epoch, random_state=0, verbose=0, **chosen)
        are_photos = isinstance(faces[TRAIN], list)
        trained.fit(*((faces[TRAIN],) if are_photos else (faces[TRAIN].paths, faces[TRAIN].labels)))
        self._report_step("Measuring the model after")
        after = evaluate(trained, held_out)
        self._report_step("Saving the model")
        folder = trained.save(find_free(self.out), evaluation={f"held-out answers of {self.labels.path.name}": after})
        return {"folder": str(folder), **_compare(before, after)}

    def _report_step(self, step: str) -> None:
        if self._stop.is_set():
            raise RuntimeError("stopped")
        self._state = {**self._state, "step": step}

    def _report_epoch(self, record: Mapping[str, Any]) -> None:
        self._report_step("Training")
        self._state = {**self._state, "epoch": round(record["epoch"]), "epochs": record["epochs"]}


def find_missing(counts: Mapping[str, Counter[str]]) -> list[str]:
    """Return sentences that say which answers are missing for a training; none if there are enough."""
    trained, n_held_out = counts[TRAIN], counts[HELD_OUT].total()
    missing = [
        f"{label}: {_count(trained[label], 'face')} to train on; want {_MIN_TRAINED} or more."
        for label in sort_classes(trained | counts[HELD_OUT])
        if trained[label] < _MIN_TRAINED
    ]
    if len(trained) < 2:
        missing.append(f"The faces to train on are of {_count(len(trained), 'class', 'es')}; want two classes or more.")
    if n_held_out < _MIN_HELD_OUT:
        missing.append(f"{_count(n_held_out, 'face')} held out; want {_MIN_HELD_OUT} or more. About one in four is.")
    return missing


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}{plural}"


def _compare(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """Return the figures of two evaluations of the same faces, for JSON."""
    names = {"accuracy": "accuracy", "recall": "recall, mean over classes"}
    names |= {f"recall/{label}": f"recall of {label}" for label in sort_classes(map(str, after.classes))}
    rows = [
        {"name": name, "before": _numbers(before.estimates.get(key)), "after": _numbers(after.estimates.get(key))}
        for key, name in names.items()
    ]
    return {
        "n_faces": after.n_faces,
        "n_photos": after.n_photos,
        "figures": rows,
        "note": describe_left_out(before.left_out),
    }


def _numbers(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None or math.isnan(estimate.value):
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
