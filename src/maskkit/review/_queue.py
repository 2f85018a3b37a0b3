"""The order in which faces are reviewed: those whose answers matter most come first."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Clue, uncertainty_scores

from maskkit._labels import match_labels
from maskkit._model.predictor import FacePredictor
from maskkit.datasets import audit
from maskkit.review._faces import Face, Track, show_nothing

SUSPECT, MISTAKE, UNCERTAIN, OTHER = "suspect", "mistake", "uncertain", "other"
REASONS = (SUSPECT, MISTAKE, UNCERTAIN, OTHER)

# A face is uncertain if its most probable class has a lower probability. Ours.
_UNCERTAIN_BELOW = 0.9
# Number of uncertain faces that are chosen to differ, and of the most uncertain ones among which they are chosen:
# clustering them takes a few seconds.
_N_DIVERSE, _N_CANDIDATES = 60, 2_000


@dataclass(frozen=True, slots=True, eq=False)
class QueuedFace:
    """A face in the queue: why it is there, in a word and in a sentence, and what the model predicts for it."""

    face: Face
    reason: str
    text: str
    predicted: str
    probability: float


def order_faces(faces: Sequence[Face], predictor: FacePredictor, track: Track = show_nothing) -> list[QueuedFace]:
    """Return the faces in the order of review.

    First come label issues of the audit, then labels that the model contradicts, the most confident ones first, then
    uncertain faces, of which the first differ from each other, then the others, the least confident ones first.
    """
    sources = [face.source for face in faces]
    batches = list(predictor.iterate_batches(track(sources, "Classifying faces", len(sources))))
    proba, features = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    classes = [str(label) for label in predictor.classes]
    suggested, groups = _audit(faces, sources, track)
    matches = match_labels({face.label for face in faces if face.label is not None}, classes)
    confidence, predicted = proba.max(axis=1), [classes[index] for index in proba.argmax(axis=1)]
    # The face may have the label of a class that the model does not know, and is no mistake then.
    known = [matches.get(face.label) for face in faces]
    is_mistake = np.array([label not in (None, said) for label, said in zip(known, predicted, strict=True)])
    is_suspect = np.isin(np.arange(len(faces)), list(suggested))
    is_uncertain = ~is_suspect & ~is_mistake & (confidence < _UNCERTAIN_BELOW)
    rest = np.flatnonzero(~is_suspect & ~is_mistake & ~is_uncertain)
    mistakes = np.flatnonzero(is_mistake & ~is_suspect)
    order = {
        SUSPECT: list(suggested),
        MISTAKE: mistakes[np.argsort(-confidence[mistakes], kind="stable")].tolist(),
        UNCERTAIN: _order_uncertain(np.flatnonzero(is_uncertain), proba, features),
        OTHER: rest[np.argsort(confidence[rest], kind="stable")].tolist(),
    }
    queue = []
    for reason in REASONS:
        for index in order[reason]:
            face = replace(faces[index], group=groups.get(index, faces[index].group))
            text = _describe(face, reason, dict(zip(classes, proba[index].tolist(), strict=True)), suggested.get(index))
            queue.append(QueuedFace(face, reason, text, predicted[index], float(confidence[index])))
    return queue


def _audit(faces: Sequence[Face], sources: Sequence[Any], track: Track) -> tuple[dict[int, str], dict[int, str]]:
    """Return the suggested labels of label issues, and the groups of duplicates among crops, by index of the face.

    Faces of photos stay in the groups of their photos. Faces without labels have no label issues.
    """
    labeled = [index for index, face in enumerate(faces) if face.label is not None]
    are_crops = faces[0].key.box is None
    chosen = list(range(len(faces))) if are_crops else labeled
    if len(chosen) < 2:
        return {}, {}
    # Without labels, the audit finds duplicates only.
    given = [sources[index] for index in chosen], [faces[index].label or "" for index in chosen]
    found = next(iter(track(map(audit, [given]), "Auditing labels and duplicates", 1)))
    index_of = {id(sources[index]): index for index in chosen}
    kept = [index_of[id(source)] for source in found.sources]
    issues = zip(found.label_issues, found.suggested_labels, strict=True)
    suggested = {kept[index]: label for index, label in issues}
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in zip(kept, found.groups.tolist(), strict=True):
        groups[group].append(index)
    named = {index: min(faces[member].group for member in members) for members in groups.values() for index in members}
    return suggested, named if are_crops else {}


class _Predicted(SkactivemlClassifier):
    """The model, for scikit-activeml: its probabilities are computed already."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "_Predicted":
        return self

    def predict_proba(self, X: Any, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        return proba


def _order_uncertain(rows: NDArray[np.int64], proba: NDArray[np.float64], features: NDArray[np.float32]) -> list[int]:
    """Return uncertain faces by falling entropy; those that stand for a cluster of uncertain faces come first."""
    if not len(rows):
        return []
    entropy = uncertainty_scores(proba[rows], method="entropy")
    rows = rows[np.argsort(-entropy, kind="stable")]
    candidates = rows[:_N_CANDIDATES]
    n_diverse = min(_N_DIVERSE, max(1, len(candidates) // 4))
    clue = Clue(predict_dict={"proba": proba[candidates]}, cluster_algo_dict={"random_state": 0}, random_state=0)
    with warnings.catch_warnings():
        # Copies of one face are fewer clusters than asked for.
        warnings.simplefilter("ignore")
        chosen = clue.query(
            features[candidates],
            np.full(len(candidates), np.nan),
            _Predicted(classes=range(proba.shape[1])),
            fit_estimator=False,
            batch_size=n_diverse,
        )
    first = set(candidates[chosen].tolist())
    return sorted(rows.tolist(), key=lambda row: row not in first)


def _describe(face: Face, reason: str, proba: dict[str, float], suggested: str | None) -> str:
    ranked = sorted(proba, key=lambda label: -proba[label])
    said = ", ".join(f"{label} {_percent(proba[label])}" for label in ranked[: 2 if reason == UNCERTAIN else 1])
    parts = [] if face.label is None else [f"labeled {face.label}"]
    parts += [f"similar faces are {suggested}"] if suggested is not None else []
    parts += [f"the model is uncertain: {said}" if reason == UNCERTAIN else f"the model says {said}"]
    return ", ".join(parts)


def _percent(probability: float) -> str:
    return f"{min(probability, 0.99):.2f}"[1:]
