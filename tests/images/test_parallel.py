"""Work done ahead keeps its order, its errors and its bounds."""

import itertools
import threading

import pytest
import torch

from maskkit._images.prefetch import in_batches, limit_threads, prefetch_map, thread_limit


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
