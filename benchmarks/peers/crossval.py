"""The row of `cross_val_score`: five folds compared with one fit."""

import time
from typing import Any

import numpy as np
from sklearn.model_selection import cross_val_score

from benchmarks.peers.children import run_fresh
from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Faces, Network, Subjects, new_classifier
from benchmarks.peers.timing import divide
from benchmarks.peers.training import FROZEN
from maskkit._model.classifier import MaskClassifier

N_FOLDS = 5
_GOAL = Goal(1.3, is_floor=False)
_WARM_UP = 16


def measure_cross_validation(subjects: Subjects) -> list[Row]:
    """Measure each network with a frozen backbone, with and without augmented copies."""
    faces = subjects.faces[: subjects.sizes.n_train]
    rows = []
    for network in subjects.networks:
        for name, params in FROZEN.items():
            timed = []
            for number in range(subjects.sizes.n_rounds):
                subjects.report(
                    f"cross_val_score, {network.name}, {name}, round {number + 1} of {subjects.sizes.n_rounds}"
                )
                # A new process, because caches of an earlier round would speed this one up.
                timed.append(run_fresh(_fit_and_cross_validate, network, params, faces))
            once, folds = zip(*timed, strict=True)
            work = f"cross_val_score(cv={N_FOLDS}), {name.partition(', ')[2]}, {network.name}"
            seconds = float(np.median(folds)), float(np.median(once))
            rows.append(Row("crossval", work, "one fit", divide(folds, once), _GOAL, len(faces), *seconds))
    return rows


def _fit_and_cross_validate(network: Network, params: dict[str, Any], faces: Faces) -> tuple[float, float]:
    """Return the seconds of one fit and of cross-validation in a process without caches."""
    few = faces[:_WARM_UP]
    new_classifier(network, **params).fit(few.paths, few.labels)
    start = time.perf_counter()
    new_classifier(network, **params).fit(faces.paths, faces.labels)
    between = time.perf_counter()
    cached = MaskClassifier(network.backbone, weights=network.weights, random_state=0, **params)
    cross_val_score(cached, np.array(faces.paths, dtype=object), faces.labels, cv=N_FOLDS, error_score="raise")
    return between - start, time.perf_counter() - between
