"""Rows of training: a frozen backbone, every layer, and the time to the peer's accuracy."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Faces, Network, Subjects, new_classifier
from benchmarks.peers.timing import Spread, Timed, divide, seconds_of, take_turns
from benchmarks.peers.torch_peer import N_EPOCHS, compute_in_torch, train_in_skorch
from maskkit._model.classifier import MaskClassifier
from maskkit._model.plan import FINE_TUNE_DEFAULTS

PEER = "skorch, every layer, float32"
FROZEN: dict[str, dict[str, Any]] = {
    "fit, frozen, augment=None": {"fine_tune": False, "augment": None},
    "fit, frozen, augmented": {"fine_tune": False},
}
FINE_TUNED = "fit, every layer"

# Goals: how many times faster than the peer, and the share of the peer's time to its accuracy.
_FROZEN_GOALS = {"resnet50": (25, 10), "efficientnet_lite0": (30, 12)}
_FINE_TUNED_GOAL, _ACCURACY_GOAL = 2.5, 0.2


def measure_training(subjects: Subjects, families: Sequence[str]) -> list[Row]:
    """Measure ``"fit"``, ``"finetune"`` and ``"accuracy"``, which share one training of the peer."""
    rows: list[Row] = []
    for network in subjects.networks:
        # From random weights, two epochs of the peer reach no accuracy worth comparing.
        measured = [family for family in families if family != "accuracy" or network.weights is not None]
        if measured:
            rows += _measure_network(subjects, network, measured)
    return rows


def _measure_network(subjects: Subjects, network: Network, families: Sequence[str]) -> list[Row]:
    faces = subjects.faces[: subjects.sizes.n_train]
    works: dict[str, Callable[[int], Any]] = {
        PEER: lambda number: train_in_skorch(network, faces.paths, faces.labels, number)
    }
    if "fit" in families:
        works |= {name: _fit(network, faces, **params) for name, params in FROZEN.items()}
    if "finetune" in families:
        works[FINE_TUNED] = _fit(
            network, faces, fine_tune=True, image_size=network.backbone.image_size, epochs=N_EPOCHS
        )
    turns = take_turns(works, subjects.sizes.n_rounds, report=subjects.report, title=network.name)
    peer = turns[PEER]
    rows = []
    for name, limit in zip(FROZEN, _FROZEN_GOALS.get(network.name, (None, None)), strict=True):
        if name in turns:
            rows.append(_row("fit", f"{name}, {network.name}", turns[name], peer, len(faces), _floor(limit)))
    if FINE_TUNED in turns:
        # Speed is images per second: maskkit drops the last batch of an epoch if it is not full.
        share = _share_of_full_batches(len(faces))
        goal = _floor(_FINE_TUNED_GOAL if network.name in _FROZEN_GOALS else None)
        name = f"{FINE_TUNED}, {network.backbone.image_size} px, {network.name}"
        rows.append(_row("finetune", name, turns[FINE_TUNED], peer, len(faces), goal, share=share))
    if "accuracy" in families:
        rows += _measure_accuracy(subjects, network, faces, peer)
    return rows


def _fit(network: Network, faces: Faces, **params: Any) -> Callable[[int], MaskClassifier]:
    return lambda number: new_classifier(network, random_state=number, **params).fit(faces.paths, faces.labels)


def _floor(limit: float | None) -> Goal | None:
    return None if limit is None else Goal(limit, is_floor=True)


def _share_of_full_batches(n_images: int) -> float:
    batch_size = min(FINE_TUNE_DEFAULTS["batch_size"], n_images)
    return (n_images - n_images % batch_size) / n_images


def _row(
    family: str,
    work: str,
    ours: Sequence[Timed],
    peers: Sequence[Timed],
    n_images: int,
    goal: Goal | None,
    *,
    share: float = 1,
) -> Row:
    peer_s, ours_s = seconds_of(peers), seconds_of(ours)
    ratio = divide([share * seconds for seconds in peer_s], ours_s)
    return Row(family, work, PEER, ratio, goal, n_images, float(np.median(ours_s)), float(np.median(peer_s)))


def _measure_accuracy(subjects: Subjects, network: Network, faces: Faces, peer: Sequence[Timed]) -> list[Row]:
    test_faces = subjects.photo_faces
    if test_faces is None:
        return []
    shares: list[float] = []
    durations: list[float] = []
    notes: list[str] = []
    for number, turn in enumerate(peer):
        subjects.report(
            f"{network.name}: accuracy of the peer of round {number + 1} on {len(test_faces):,} faces of photos"
        )
        target = score_peer(turn.value, network, faces.labels, test_faces)
        seconds, reached, n_epochs = _train_until(subjects, network, faces, test_faces, target, number)
        durations.append(seconds)
        shares.append(seconds / turn.seconds)
        outcome = "reached" if math.isfinite(seconds) else "not reached"
        notes.append(f"{target:.3f} {outcome} with {reached:.3f} in {n_epochs} epochs")
    goal = Goal(_ACCURACY_GOAL, is_floor=False)
    work = f"time to the peer's accuracy on photos, {network.name}"
    seconds = float(np.median(durations))
    note = f"Balanced accuracy by round: {'; '.join(notes)}."
    return [
        Row(
            "accuracy",
            work,
            PEER,
            Spread.of(shares),
            goal,
            len(faces),
            seconds if math.isfinite(seconds) else None,
            float(np.median(seconds_of(peer))),
            note,
        )
    ]


def _train_until(
    subjects: Subjects, network: Network, faces: Faces, test_faces: Faces, target: float, seed: int
) -> tuple[float, float, int]:
    """Train from the start with more and more epochs until an accuracy is reached.

    Return the seconds of the last training (infinite if it is not reached), the accuracy and the number of epochs.
    """
    best, n_epochs = 0.0, 0
    for n_epochs in subjects.sizes.epochs_tried:
        subjects.report(f"{network.name}: every layer for {n_epochs} epochs, target {target:.3f}")
        classifier = new_classifier(network, fine_tune=True, epochs=n_epochs, random_state=seed)
        start = time.perf_counter()
        classifier.fit(faces.paths, faces.labels)
        seconds = time.perf_counter() - start
        best = max(best, float(balanced_accuracy_score(test_faces.labels, classifier.predict(test_faces.paths))))
        if best >= target:
            return seconds, best, n_epochs
    return math.inf, best, n_epochs


def score_peer(module: nn.Module, network: Network, labels: NDArray[Any], test_faces: Faces) -> float:
    """Return the balanced accuracy of a network from `train_in_skorch`."""
    logits = compute_in_torch(module, test_faces.paths, network.backbone)
    return float(balanced_accuracy_score(test_faces.labels, np.unique(labels)[logits.argmax(axis=1)]))
