"""Metrics for Prometheus: counts and times, without any content of photos."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskkit._model.results import PhotoResult
from maskkit.web._batcher import BATCH_PHOTOS

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Metrics of one server; `n_waiting` is a function that returns the length of the queue."""

    def __init__(self, n_waiting: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "maskkit_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "maskkit_request_seconds",
            "Time from the header of a request to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.photos = Counter("maskkit_photos", "Photos by status.", ["status"], registry=registry)
        self.faces = Counter("maskkit_faces", "Faces by decision.", ["decision"], registry=registry)
        self.stages = Counter(
            "maskkit_stage_seconds", "Time to read, detect and classify.", ["stage"], registry=registry
        )
        self.batches = Histogram(
            "maskkit_batch_photos", "Photos per batch.", buckets=range(1, BATCH_PHOTOS + 1), registry=registry
        )
        Gauge("maskkit_queue_photos", "Photos in the queue.", registry=registry).set_function(n_waiting)

    def count(self, photos: Iterable[PhotoResult]) -> None:
        """Count photos, their faces and the time that they took."""
        for photo in photos:
            self.photos.labels(photo.status).inc()
            for decision, n_faces in photo.summary().items():
                self.faces.labels(str(decision)).inc(n_faces)
            for stage, milliseconds in photo.speed_ms.items():
                self.stages.labels(stage).inc(milliseconds / 1000)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class RequestMetrics:
    """ASGI middleware that counts requests and measures their time.

    Only `paths` are counted by name. All others are counted as one, so that no client can fill the memory with names.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, paths: Iterable[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        status = 500
        start = time.perf_counter()

        async def track_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, track_status)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
