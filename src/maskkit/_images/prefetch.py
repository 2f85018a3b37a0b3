"""Prefetching in threads, and the number of threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import count, islice
from typing import Any, TypeVar

from maskkit._images.pixel_budget import PixelBudget, count_pixels

Item = TypeVar("Item")
Result = TypeVar("Result")

_n_threads: int | None = None


def limit_threads(n_threads: int) -> None:
    """Limit the threads of this process, for machines shared by several processes.

    Applies to torch, to `prefetch_map` and to the networks that OpenVINO compiles from now on.
    """
    import torch

    global _n_threads
    _n_threads = n_threads
    torch.set_num_threads(n_threads)


def thread_limit() -> int | None:
    """Return the limit set by `limit_threads`, or None."""
    return _n_threads


@cache
def _count_cores() -> int:
    """Return the number of cores that this process may use, in its container and beside those launched with it."""
    from joblib import cpu_count  # a dependency of scikit-learn

    return max(1, int(cpu_count()) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def count_workers() -> int:
    """Return the number of threads that read images together."""
    return _n_threads or _count_cores()


def call_in_forked_child(action: Callable[[], None]) -> None:
    """Register a call for the start of each process forked from this one; no effect where fork is missing."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=action)


@cache
def use_one_thread_after_fork() -> None:
    """Limit processes that are forked from this one to one thread.

    Must be called before anything is computed: threads do not survive a fork, and the thread pools of OpenMP (used by
    torch) and of OpenVINO would wait for their lost threads forever.
    """
    call_in_forked_child(lambda: limit_threads(1))


def prefetch_map(
    function: Callable[..., Result], *iterables: Iterable[Any], n_ahead: int = 64, n_workers: int | None = None
) -> Iterator[Result]:
    """Iterate over ``map(function, *iterables)``, computed ahead in threads.

    Pillow and NumPy release the interpreter lock while they decode and resize, so threads keep every core busy without
    copying images between processes. There are `n_workers` threads, by default `count_workers`.

    The iterables may be endless: at most `n_ahead` items are taken before their results are consumed, and fewer if the
    images that `function` loads have many pixels, which are bounded by `PixelBudget`. Results come in order, and an
    exception of `function` is raised at the turn of its item.
    """
    n_workers = n_workers or count_workers()
    budget = PixelBudget(n_workers)

    def compute(turn: int, items: tuple[Any, ...]) -> Result:
        with budget.turn(turn):
            result = function(*items)
        budget.keep(turn, count_pixels(result))
        return result

    pool = ThreadPoolExecutor(max_workers=n_workers, thread_name_prefix="maskkit")
    pending: deque[Future[Result]] = deque()
    consumed = count()
    try:
        for turn, items in enumerate(zip(*iterables, strict=False)):
            pending.append(pool.submit(compute, turn, items))
            if len(pending) >= n_ahead:
                yield pending.popleft().result()
                budget.consume(next(consumed))
        while pending:
            yield pending.popleft().result()
            budget.consume(next(consumed))
    finally:
        budget.close()
        # Also reached if the consumer stops early: what has not started is never computed.
        pool.shutdown(wait=True, cancel_futures=True)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def in_windows(items: Iterable[Item], size: int, *, max_pixels: int) -> Iterator[list[Item]]:
    """Yield lists of at most `size` items that hold images, shorter ones as soon as these have `max_pixels`."""
    window: list[Item] = []
    n_pixels = 0
    for item in items:
        window.append(item)
        n_pixels += count_pixels(item)
        if len(window) >= size or n_pixels >= max_pixels:
            yield window
            window, n_pixels = [], 0
    if window:
        yield window
