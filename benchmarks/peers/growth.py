"""Rows of memory and time as the number of images grows."""

import copy
from collections.abc import Callable, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.children import peak_bytes, run_fresh
from benchmarks.peers.results import Goal, Row
from benchmarks.peers.subjects import Subjects, new_classifier
from benchmarks.peers.timing import Spread, divide, seconds_of, take_turns
from maskkit._model.classifier import MaskClassifier

_MEMORY_GOAL = Goal(1.1, is_floor=False)
_DOUBLING_GOAL = Goal(2.0, is_floor=False)


def measure_memory(subjects: Subjects) -> list[Row]:
    """Compare the peak memory of two processes, one of which predicts ten times as many images."""
    few, many = subjects.sizes.n_memory
    folder = subjects.save_model()
    paths = subjects.faces.paths[:few]
    ratios = []
    for number in range(subjects.sizes.n_rounds):
        peaks = {}
        for n_images in (few, many):
            subjects.report(f"memory, round {number + 1} of {subjects.sizes.n_rounds}: {n_images:,} predictions")
            peaks[n_images] = run_fresh(_peak_of_predicting, folder, repeat_to(paths, n_images))
        ratios.append(peaks[many] / peaks[few])
    note = f"Peaks of the last round: {peaks[few] / 1e6:,.0f} and {peaks[many] / 1e6:,.0f} MB."
    work = f"peak memory of {many:,} predictions"
    return [Row("memory", work, f"of {few:,}", Spread.of(ratios), _MEMORY_GOAL, many, note=note)]


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
        for (less, more), n_images in zip(pairwise(turns), subjects.sizes.n_growing[1:], strict=True):
            less_s, more_s = seconds_of(turns[less]), seconds_of(turns[more])
            seconds = float(np.median(more_s)), float(np.median(less_s))
            ratio = divide(more_s, less_s)
            rows.append(Row("scaling", f"{name}, {more}", less, ratio, _DOUBLING_GOAL, n_images, *seconds))
    return rows


def _run_with(work: Callable[[int], None], n_images: int) -> Callable[[int], None]:
    return lambda _: work(n_images)


def repeat_to(items: Sequence[Any], n_items: int) -> list[Any]:
    """Repeat items in order up to a number of items."""
    return list(islice(cycle(items), n_items))


def _peak_of_predicting(folder: Path, paths: list[Path]) -> int:
    MaskClassifier.load(folder).predict(paths)
    return peak_bytes()
