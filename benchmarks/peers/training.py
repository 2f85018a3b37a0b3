"""Rows of training: a frozen backbone, every layer, and the time until the peer's accuracy."""

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
from maskkit._model.fit import FINE_TUNE_DEFAULTS

PEER = "skorch, every layer, float32"
FROZEN: dict[str, dict[str, Any]] = {
    "fit, frozen, augment=None": {"fine_tune": False, "augment": None},
    "fit, frozen, augmented": {"fine_tune": False},
}
FINE_TUNED = "fit, every layer"

# How many times faster than the peer.
_FROZEN_GOALS = {"resnet50": (25, 10), "efficientnet_lite0": (30, 12)}
_FINE_TUNED_GOAL, _ACCURACY_GOAL = 2.5, 0.2


def measure_training(subjects: Subjects, families: Sequence[str]) -> list[Row]:
    """Measure ``"fit"``, ``"finetune"`` and ``"accuracy"``, whose peer is one and the same training."""
    rows: list[Row] = []
    for network in subjects.networks:
        # Random weights learn nothing in two epochs that could be reached.
        wanted = [family for family in families if family != "accuracy" or network.weights is not None]
        if wanted:
            rows += _measure_network(subjects, network, wanted)
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
    turns = take_turns(works, subjects.sizes.n_rounds, say=subjects.say, title=network.name)
    peer = turns[PEER]
    rows = []
    for name, limit in zip(FROZEN, _FROZEN_GOALS.get(network.name, (None, None)), strict=True):
        if name in turns:
            rows.append(_row("fit", f"{name}, {network.name}", turns[name], peer, len(faces), _floor(limit)))
    if FINE_TUNED in turns:
        # Each counts the images it trained on: maskkit leaves the last batch of an epoch out if it is not full.
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
    judged = subjects.photo_faces
    if judged is None:
        return []
    shares: list[float] = []
    took: list[float] = []
    notes: list[str] = []
    for number, turn in enumerate(peer):
        subjects.say(f"{network.name}: accuracy of the peer of round {number + 1} on {len(judged):,} faces of photos")
        wanted = judge_peer(turn.value, network, faces.labels, judged)
        seconds, reached, n_epochs = _train_until(subjects, network, faces, judged, wanted, number)
        took.append(seconds)
        shares.append(seconds / turn.seconds)
        verdict = "reached" if math.isfinite(seconds) else "not reached"
        notes.append(f"{wanted:.3f} {verdict} with {reached:.3f} by {n_epochs} epochs")
    goal = Goal(_ACCURACY_GOAL, is_floor=False)
    work = f"time to the peer's accuracy on photos, {network.name}"
    seconds = float(np.median(took))
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
    subjects: Subjects, network: Network, faces: Faces, judged: Faces, wanted: float, seed: int
) -> tuple[float, float, int]:
    """Train anew for ever more epochs until an accuracy is reached; gives that training's seconds alone."""
    best, n_epochs = 0.0, 0
    for n_epochs in subjects.sizes.epochs_tried:
        subjects.say(f"{network.name}: every layer for {n_epochs} epochs, {wanted:.3f} wanted")
        classifier = new_classifier(network, fine_tune=True, epochs=n_epochs, random_state=seed)
        start = time.perf_counter()
        classifier.fit(faces.paths, faces.labels)
        seconds = time.perf_counter() - start
        best = max(best, float(balanced_accuracy_score(judged.labels, classifier.predict(judged.paths))))
        if best >= wanted:
            return seconds, best, n_epochs
    return math.inf, best, n_epochs


def judge_peer(module: nn.Module, network: Network, labels: NDArray[Any], judged: Faces) -> float:
    """Give the balanced accuracy of what `train_in_skorch` trained."""
    logits = compute_in_torch(module, judged.paths, network.backbone)
    return float(balanced_accuracy_score(judged.labels, np.unique(labels)[logits.argmax(axis=1)]))
