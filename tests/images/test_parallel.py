"""Work done ahead keeps its order, its errors and its bounds."""

import io
import itertools
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image

from maskkit._images.pixel_budget import PIXELS_PER_WORKER, PixelBudget, reserve_pixels
from maskkit._images.prefetch import in_batches, in_windows, limit_threads, prefetch_map, thread_limit
from tests.conftest import fuzzing
from tests.helpers import load_image


def test_results_come_in_order_whatever_finishes_first():
    gate = threading.Event()

    def slow_first(item):
        if item == 0:
            gate.wait(10)
        elif item == 1:
            gate.set()
        return item * 2

    assert list(prefetch_map(slow_first, range(20))) == [item * 2 for item in range(20)]


def test_endless_input_is_taken_only_as_far_as_asked():
    taken = []
    numbers = (taken.append(number) or number for number in itertools.count())
    results = prefetch_map(str, numbers, n_ahead=5)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert len(taken) <= 3 + 5
    results.close()


def test_error_is_raised_at_its_turn():
    results = prefetch_map(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_batches_hold_everything_in_order():
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([], 2)) == []


def test_threads_are_limited(monkeypatch):
    monkeypatch.setattr("maskkit._images.prefetch._n_threads", None)
    n_threads = torch.get_num_threads()
    together = threading.Barrier(2)
    try:
        limit_threads(1)
        assert (thread_limit(), torch.get_num_threads()) == (1, 1)
        with pytest.raises(threading.BrokenBarrierError):
            list(prefetch_map(lambda _: together.wait(0.2), range(2)))
        together.reset()
        assert sorted(prefetch_map(lambda _: together.wait(10), range(2), n_workers=2)) == [0, 1]
    finally:
        torch.set_num_threads(n_threads)


class Gauge:
    """Measures how many pixels are decoded or held at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = 0

    def add(self, n_pixels):
        with self.lock:
            self.now += n_pixels
            self.most = max(self.most, self.now)


@pytest.mark.parametrize("n_workers", [1, 4, 16])
@pytest.mark.parametrize("n_ahead", [8, 64])
def test_what_is_decoded_ahead_is_bounded_by_pixels(n_workers, n_ahead):
    gauge, large = Gauge(), 3 * PIXELS_PER_WORKER // 2
    limit = max(2, n_workers) * PIXELS_PER_WORKER

    def decode(item):
        reserve_pixels(large)
        gauge.add(large)
        # An array of this many pixels that takes no memory.
        return np.broadcast_to(np.uint8(0), (1, large, 3))

    for _ in prefetch_map(decode, range(40), n_ahead=n_ahead, n_workers=n_workers):
        gauge.add(-large)
    # The picture that is consumed next may exceed the limit, and so may the one that the consumer has just taken.
    assert large <= gauge.most <= limit + 2 * large


def test_small_results_of_large_pictures_are_held_beside_each_other():
    """A picture that was made small no longer counts with its first size."""
    together = threading.Barrier(12)

    def shrink(item):
        reserve_pixels(PIXELS_PER_WORKER)
        return np.zeros((2, 2, 3), dtype=np.uint8)

    def wait(item):
        together.wait(20)
        return shrink(item)

    assert len(list(prefetch_map(wait, range(12), n_workers=12))) == 12
    assert together.broken is False


@fuzzing(30)
@given(
    sizes=st.lists(st.integers(0, 3 * PIXELS_PER_WORKER), max_size=30),
    n_workers=st.integers(1, 8),
    n_ahead=st.integers(1, 20),
    n_wanted=st.integers(0, 30),
)
def test_fuzz_no_order_of_sizes_blocks(sizes, n_workers, n_ahead, n_wanted):
    def decode(size):
        reserve_pixels(size)
        return np.broadcast_to(np.uint8(0), (1, max(1, size), 3))

    results = prefetch_map(decode, sizes, n_ahead=n_ahead, n_workers=n_workers)
    taken = [result.shape[1] for result in itertools.islice(results, n_wanted)]
    results.close()
    assert taken == [max(1, size) for size in sizes[:n_wanted]]


def test_a_failed_call_gives_its_pixels_back():
    def decode(item):
        reserve_pixels(3 * PIXELS_PER_WORKER)
        if item % 2:
            raise ValueError(item)
        return item

    for item in range(0, 9, 2):
        results = prefetch_map(decode, [item, item + 1, item + 2], n_workers=3)
        assert next(results) == item
        with pytest.raises(ValueError, match=str(item + 1)):
            next(results)


def test_every_reader_reserves_its_pixels(monkeypatch):
    reserved = []
    monkeypatch.setattr(PixelBudget, "reserve", lambda budget, turn, n_pixels: reserved.append(n_pixels))
    picture = Image.new("RGB", (300, 200))
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        file = io.BytesIO()
        picture.save(file, form)
        list(prefetch_map(load_image, [file.getvalue()]))
    assert reserved == [60_000] * 4


def test_windows_of_large_images_are_shorter():
    images = [np.zeros((10, size, 3), dtype=np.uint8) for size in (1, 1, 1, 9, 50, 2, 2)]
    windows = in_windows([(image, "name") for image in images], 3, max_pixels=100)
    assert [[image.shape[1] for image, _ in window] for window in windows] == [[1, 1, 1], [9, 50], [2, 2]]
