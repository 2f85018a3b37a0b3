"""Batching of the photos of all requests: a bounded queue, and one thread that predicts in batches."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from maskkit._model.predictor import FacePredictor
from maskkit._model.results import PhotoResult
from maskkit.web._errors import queue_full

BATCH_PHOTOS = 8
"""Maximum number of photos in a batch; it bounds how many are decoded at once."""

# Weight of the newest batch in the running mean of seconds per photo.
_NEWEST_WEIGHT = 0.2

_log = logging.getLogger("maskkit.web")


class Upload(NamedTuple):
    """An uploaded image file."""

    name: str
    data: bytes


class _Job(NamedTuple):
    upload: Upload
    future: Future[PhotoResult]


class Batcher:
    """Predicts the photos of all requests in one thread, those that wait together in one batch.

    A batch is never held back until it is full: a photo that arrives alone is a batch of one, and the photos
    that arrive meanwhile are the next batch.

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
        self.predictor = predictor
        self.max_waiting = max_waiting
        self.max_wait_s = max_wait_s
        self.max_px = max_px
        self.on_batch = on_batch
        self.seconds_per_photo = 0.1
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="maskkit-batcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Predict the photos that wait, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def n_waiting(self) -> int:
        """Number of photos in the queue."""
        return len(self._queue)

    def submit(self, uploads: Sequence[Upload]) -> list[Future[PhotoResult]]:
        """Queue all photos of a request or none (503); a photo whose future is canceled in time is skipped."""
        with self._changed:
            self.check_capacity(len(uploads))
            jobs = [_Job(upload, Future()) for upload in uploads]
            self._queue += jobs
            self._changed.notify()
        return [job.future for job in jobs]

    def check_capacity(self, n_photos: int = 1) -> None:
        """Raise a 503 if the queue has no place for that many photos."""
        n_waiting = len(self._queue)
        wait_s = n_waiting * self.seconds_per_photo
        if self._closed or n_waiting + n_photos > self.max_waiting or wait_s > self.max_wait_s:
            raise queue_full(max(1, min(60, math.ceil(wait_s))))

    def _run(self) -> None:
        while batch := self._next_batch():
            # Jobs whose request has timed out or gone are canceled.
            active = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if active:
                self.on_batch(len(active))
                self._predict(active)

    def _next_batch(self) -> list[_Job]:
        """Wait for photos; return an empty list once the batcher is closed and the queue empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return [self._queue.popleft() for _ in range(min(BATCH_PHOTOS, len(self._queue)))]

    def _predict(self, jobs: list[_Job]) -> None:
        start = time.perf_counter()
        pending = deque(jobs)
        try:
            for result in self.predictor.read_named_photos([job.upload for job in jobs], max_px=self.max_px):
                pending.popleft().future.set_result(result)
        except Exception as exc:  # a plugin may raise anything: each request gets the error, and the thread goes on
            # The exception's message is not logged, because it may quote what was sent.
            _log.error("a batch of %d photos could not be classified: %s", len(jobs), type(exc).__name__)
            for job in pending:
                job.future.set_exception(exc)
        seconds = (time.perf_counter() - start) / len(jobs)
        self.seconds_per_photo += _NEWEST_WEIGHT * (seconds - self.seconds_per_photo)
