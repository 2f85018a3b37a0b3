"""Photos of all requests, judged together: a bounded queue and one thread that empties it in batches."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from maskkit._model.predictor import FacePredictor
from maskkit._model.results import PhotoResult

BATCH_PHOTOS = 8
"""Photos whose faces are classified together; bounds how many are decoded at once."""

_log = logging.getLogger("maskkit.web")


class Upload(NamedTuple):
    """A file that came in."""

    name: str
    data: bytes


class QueueFullError(Exception):
    """There is no room for these photos.

    Attributes
    ----------
    seconds : int
        After which there may be.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class _Job(NamedTuple):
    upload: Upload
    future: Future[PhotoResult]


class Batcher:
    """Judges photos in one thread, those that wait together in one batch.

    Nothing waits for a batch to fill: a photo that comes alone is judged alone, and what comes meanwhile is
    the next batch.

    Parameters
    ----------
    reader : FacePredictor
    max_waiting : int
        Photos in the queue.
    max_wait_s : float
        That the photos in the queue will take, as far as the last ones tell, for one more to be let in.
    max_px : int
        Pixels of a photo.
    on_batch : callable, optional
        Told the size of each batch.
    """

    def __init__(
        self,
        reader: FacePredictor,
        *,
        max_waiting: int,
        max_wait_s: float,
        max_px: int,
        on_batch: Callable[[int], None] = lambda n_photos: None,
    ) -> None:
        self.reader = reader
        self.max_waiting = max_waiting
        self.max_wait_s = max_wait_s
        self.max_px = max_px
        self.on_batch = on_batch
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_a_photo = 0.1
        self._thread = threading.Thread(target=self._work, name="maskkit-batcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Judge what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def n_waiting(self) -> int:
        """Photos in the queue."""
        return len(self._waiting)

    def submit(self, uploads: Sequence[Upload]) -> list[Future[PhotoResult]]:
        """Queue the photos of a request, all or none; a future that is cancelled in time is left out.

        Raises
        ------
        QueueFullError
            If they would be more than `max_waiting`, or wait longer than `max_wait_s`.
        """
        with self._changed:
            self.check_room(len(uploads))
            jobs = [_Job(upload, Future()) for upload in uploads]
            self._waiting += jobs
            self._changed.notify()
        return [job.future for job in jobs]

    def check_room(self, n_photos: int = 1) -> None:
        """Raise `QueueFullError` if there is no room for so many: the request need not be read."""
        n_waiting = len(self._waiting)
        wait_s = n_waiting * self._seconds_a_photo
        if self._closed or n_waiting + n_photos > self.max_waiting or wait_s > self.max_wait_s:
            raise QueueFullError(max(1, min(60, math.ceil(wait_s))))

    def _work(self) -> None:
        while batch := self._next_batch():
            wanted = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if wanted:
                self.on_batch(len(wanted))
                self._judge(wanted)

    def _next_batch(self) -> list[_Job]:
        """Wait for photos; nothing once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(BATCH_PHOTOS, len(self._waiting)))]

    def _judge(self, jobs: list[_Job]) -> None:
        start = time.perf_counter()
        left = deque(jobs)
        try:
            for result in self.reader.read_named_photos([job.upload for job in jobs], max_px=self.max_px):
                left.popleft().future.set_result(result)
        except Exception as exc:  # a classifier may raise anything; the server lives on, and each request is told
            # The message may quote what was sent, and is not logged for that.
            _log.error("a batch of %d photos could not be judged: %s", len(jobs), type(exc).__name__)
            for job in left:
                job.future.set_exception(exc)
        seconds = (time.perf_counter() - start) / len(jobs)
        self._seconds_a_photo += 0.2 * (seconds - self._seconds_a_photo)
