"""Rows of memory and time as the number of images grows."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice, pairwise
from typing import Any

import numpy as np

from benchmarks.peers.children import peak_bytes, run_fresh
from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Faces, Subjects, new_classifier
from benchmarks.peers.timing import divide, seconds_of, take_turns
from maskkit import MaskClassifier
from maskkit.testing import TinyBackbone

_MEMORY_GOAL = Goal(1.1, is_floor=False)


def measure_memory(subjects: Subjects) -> list[Row]:
    """Compare the peak memory of two processes, one of which predicts ten times as many images."""
    few, many = subjects.sizes.n_memory
    predict = partial(run_fresh, _peak_of_predicting, subjects.faces[:few])
    turns = take_turns(
        {f"{n_images:,} predictions": _run_with(predict, n_images) for n_images in (few, many)},
        subjects.sizes.n_rounds,
        report=subjects.report,
        title="memory",
    )
    less, more = ([turn.value for turn in taken] for taken in turns.values())
    note = f"Peaks of the last round: {less[-1] / 1e6:,.0f} and {more[-1] / 1e6:,.0f} MB."
    work = f"peak memory of {many:,} predictions"
    return [Row("memory", work, f"of {few:,}", divide(more, less), _MEMORY_GOAL, many, note=note)]


def measure_scaling(subjects: Subjects) -> list[Row]:
    """Time a prediction and a fit of a frozen backbone as the number of images doubles."""
    network = subjects.networks[-1]
    model = copy.copy(subjects.model).set_params(cache=None)
    faces = subjects.faces

    def predict(n_images: int) -> None:
        model.predict(repeat_to(faces.paths, n_images))

    def fit(n_images: int) -> None:
        labels = np.array(repeat_to(faces.labels.tolist(), n_images))
        classifier = new_classifier(network, fine_tune=False, augment=None)
        classifier.fit(repeat_to(faces.paths, n_images), labels)

    rows = []
    for name, work in (("predict", predict), (f"fit, frozen, {network.name}", fit)):
        work(subjects.sizes.n_growing[0])
        turns = take_turns(
            {f"{n_images:,} images": _run_with(work, n_images) for n_images in subjects.sizes.n_growing},
            subjects.sizes.n_rounds,
            report=subjects.report,
            title=f"scaling, {name}",
        )
        sizes = subjects.sizes.n_growing
        # The last pair is the growth over all sizes.
        for less, more in (*pairwise(sizes), (sizes[0], sizes[-1])):
            less_s, more_s = (seconds_of(turns[f"{n_images:,} images"]) for n_images in (less, more))
            goal = Goal(more / less, is_floor=False)
            seconds = float(np.median(more_s)), float(np.median(less_s))
            titles = f"{name}, {more:,} images", f"{less:,} images"
            rows.append(Row("scaling", *titles, divide(more_s, less_s), goal, more, *seconds))
    return rows


def _run_with(work: Callable[[int], Any], n_images: int) -> Callable[[int], Any]:
    return lambda _: work(n_images)


def repeat_to(items: Sequence[Any], n_items: int) -> list[Any]:
    """Repeat items in order up to a number of items."""
    return list(islice(cycle(items), n_items))


def _peak_of_predicting(faces: Faces, n_images: int) -> int:
    """Return the peak memory of reading, searching and classifying images with a network that takes hardly any time."""
    first = faces[:16]
    model = MaskClassifier(TinyBackbone(), weights=None, fine_tune=False, augment=None, cache=None, random_state=0)
    model.fit(first.paths, first.labels).predict(repeat_to(faces.paths, n_images))
    return peak_bytes()
