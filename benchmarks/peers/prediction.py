"""Rows of prediction from files to labels, compared with a torch loop and with the runtime alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Network, Subjects, new_classifier
from benchmarks.peers.timing import divide, seconds_of, split_rounds, take_turns
from benchmarks.peers.torch_peer import compute_in_torch, plain_copy
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._model.embedder import FaceEmbedder

PEER, RUNTIME = "torch loop, float32", "runtime alone, arrays"
WORKS = {"predict": True, "predict, find_face=False": False}

_PEER_GOALS = {"resnet50": Goal(5, is_floor=True)}
_RUNTIME_GOAL = Goal(0.9, is_floor=True)


def measure_prediction(subjects: Subjects) -> list[Row]:
    """Measure each network; each side predicts each file once."""
    return [row for network in subjects.networks for row in _measure_network(subjects, network)]


def _measure_network(subjects: Subjects, network: Network) -> list[Row]:
    sizes = subjects.sizes
    # Fully trained, because faces with a low margin are computed twice.
    trained_on = subjects.faces[: sizes.n_train]
    classifiers = {
        name: new_classifier(network, fine_tune=False, augment=None, find_face=find_face).fit(
            trained_on.paths, trained_on.labels
        )
        for name, find_face in WORKS.items()
    }
    classifier = classifiers["predict, find_face=False"]
    embedder, head = classifier.embedder_, classifier.head_
    parts = split_rounds(subjects.faces[: sizes.n_predict].paths, sizes.n_rounds)
    arrays = [_preload(embedder, part) for part in parts]
    network_copy = plain_copy(embedder.network_)

    def loop(paths: Sequence[Any]) -> NDArray[np.float64]:
        proba: NDArray[np.float64] = head.predict_proba(compute_in_torch(network_copy, paths, network.backbone))
        return proba

    # The first calls initialize libraries and are not timed.
    loop(trained_on.paths[:2])
    for each in classifiers.values():
        each.predict(trained_on.paths[:2])
    compute_features(embedder, arrays[0][:1])
    turns = take_turns(
        {
            PEER: lambda number: loop(parts[number]),
            "predict": lambda number: classifiers["predict"].predict(parts[number]),
            "predict, find_face=False": lambda number: classifiers["predict, find_face=False"].predict(parts[number]),
            RUNTIME: lambda number: compute_features(embedder, arrays[number]),
        },
        sizes.n_rounds,
        report=subjects.report,
        title=f"predict, {network.name}",
    )
    rows = []
    for peer, goal in ((PEER, _PEER_GOALS.get(network.name)), (RUNTIME, _RUNTIME_GOAL)):
        for name in WORKS:
            peer_s, ours_s = seconds_of(turns[peer]), seconds_of(turns[name])
            rows.append(
                Row(
                    "predict",
                    f"{name}, {network.name}",
                    peer,
                    divide(peer_s, ours_s),
                    goal,
                    sum(map(len, parts)),
                    sum(ours_s),
                    sum(peer_s),
                )
            )
    return rows


def _preload(embedder: FaceEmbedder, paths: Sequence[Any]) -> list[NDArray[np.uint8]]:
    """Decode and resize files into batches of uint8 (n, S, S, 3)."""
    return [
        np.stack(batch)
        for batch in in_batches(prefetch_map(embedder.preprocess_.load, paths), embedder.engine_.batch_size)
    ]


def compute_features(embedder: FaceEmbedder, batches: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    """Compute the features of resized images with the runtime alone, in all of its streams."""
    with ThreadPoolExecutor(embedder.engine_.n_streams) as pool:
        return list(pool.map(embedder.engine_.compute, batches))
