"""Batching of the photos of all requests: a bounded queue, and threads that predict in batches."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from maskkit._model.predictor import FacePredictor
from maskkit._model.results import PhotoResult
from maskkit.web._errors import queue_full
from maskkit.web._formats import FORMATS
from maskkit.web._inspect import Upload

BATCH_PHOTOS = 4
"""Maximum number of photos in a batch; with the number of batches, it bounds how many are decoded at once."""

# While the faces of one batch are classified, the photos of another are searched, so that no core waits at the end of
# a batch.
N_BATCHES = 2

# Weight of the newest photo in the running mean of seconds per photo.
_NEWEST_WEIGHT = 0.05

_log = logging.getLogger("maskkit.web")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    upload: Upload
    n_px: int
    # Stays pending until the result is known, so that it can be canceled at any time.
    future: Future[PhotoResult] = field(default_factory=Future)


class Batcher:
    """Predicts the photos of all requests in batches of those that wait together, `N_BATCHES` of them at once.

    A batch is never held back until it is full: a photo that arrives alone is a batch of one, and the photos
    that arrive meanwhile are the next batch. Photos of more than `max_px` pixels together are not predicted at once,
    and a batch leaves room for the others, unless it is a single photo.

    A photo whose future is canceled is left out at the next step: before it is decoded, before it is searched for
    faces, and before its faces are classified.

    Photos are accepted while at most `max_waiting` are in the queue and their waiting time, estimated from the
    time of recent photos, is at most `max_wait_s`. `on_batch` is called with the size of each batch.
    """

    def __init__(
        self,
        predictor: FacePredictor,
        *,
        max_waiting: int,
        max_wait_s: float,
        max_px: int,
        on_batch: Callable[[int], Any] = lambda n_photos: None,
    ) -> None:
        self.predictor = predictor.for_threads()
        self.max_waiting = max_waiting
        self.max_wait_s = max_wait_s
        self.max_px = max_px
        self.on_batch = on_batch
        self.seconds_per_photo = 0.1
        self._queue: deque[_Job] = deque()
        self._n_px = 0  # of the photos that are being predicted
        self._last_end_s = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"maskkit-batcher-{number}", daemon=True)
            for number in range(N_BATCHES)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Predict the photos that wait, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    def submit(self, uploads: Sequence[tuple[Upload, int]]) -> list[Future[PhotoResult]]:
        """Queue all photos of a request, with their numbers of pixels, or none (503)."""
        with self._changed:
            self.check_capacity(len(uploads))
            jobs = [_Job(upload, n_px) for upload, n_px in uploads]
            self._queue += jobs
            self._changed.notify_all()
        for job in jobs:
            job.future.add_done_callback(partial(self._forget, job))
        return [job.future for job in jobs]

    def _forget(self, job: _Job, future: Future[PhotoResult]) -> None:
        """Remove a canceled photo from the queue, so that its place is free and its bytes are released."""
        if future.cancelled():
            with self._changed, suppress(ValueError):  # It may have left the queue already.
                self._queue.remove(job)
                self._changed.notify_all()

    def check_capacity(self, n_photos: int = 1) -> None:
        """Raise a 503 if the queue has no place for that many photos."""
        n_waiting = len(self._queue)
        wait_s = n_waiting * self.seconds_per_photo
        if self._closed or n_waiting + n_photos > self.max_waiting or wait_s > self.max_wait_s:
            raise queue_full(max(1, min(60, math.ceil(wait_s))))

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                # Jobs whose request has timed out or gone are canceled.
                active = [job for job in batch if not job.future.cancelled()]
                if active:
                    self.on_batch(len(active))
                    self._predict(active)
            finally:
                with self._changed:
                    self._n_px -= sum(job.n_px for job in batch)
                    self._changed.notify_all()

    def _next_batch(self) -> list[_Job]:
        """Wait for photos; return an empty list once the batcher is closed and the queue empty."""
        batch: list[_Job] = []
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() if self._queue else self._closed)
            n_px = 0
            while self._queue and len(batch) < BATCH_PHOTOS and self._has_room():
                n_px += self._queue[0].n_px
                if batch and n_px > self.max_px // N_BATCHES:
                    break
                self._n_px += self._queue[0].n_px
                batch.append(self._queue.popleft())
        return batch

    def _has_room(self) -> bool:
        """Return whether the next photo may be predicted beside the others."""
        return not self._n_px or self._n_px + self._queue[0].n_px <= self.max_px

    def _predict(self, jobs: list[_Job]) -> None:
        start = time.perf_counter()
        pending = deque(jobs)
        try:
            results = self.predictor.read_named_photos(
                [job.upload for job in jobs],
                max_px=self.max_px,
                formats=FORMATS,
                is_wanted=lambda index: not jobs[index].future.cancelled(),
            )
            for result in results:
                _finish(pending.popleft().future, result)
        except Exception as exc:  # a plugin may raise anything: each request gets the error, and the thread goes on
            # The exception's message is not logged, because it may quote what was sent.
            _log.error("a batch of %d photos could not be classified: %s", len(jobs), type(exc).__name__)
            for job in pending:
                _finish(job.future, exc)
        with self._changed:
            # Batches overlap, so the time since the last one ended is that of this one alone.
            end = time.perf_counter()
            seconds = (end - max(start, self._last_end_s)) / len(jobs)
            self._last_end_s = end
            weight = 1 - (1 - _NEWEST_WEIGHT) ** len(jobs)
            self.seconds_per_photo += weight * (seconds - self.seconds_per_photo)


def _finish(future: Future[PhotoResult], outcome: PhotoResult | Exception) -> None:
    """Set the result or the error of a future, unless it has been canceled."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, PhotoResult):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
