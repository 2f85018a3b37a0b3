"""Clients, servers on a free port, and a detector that waits until it is released."""

import copy
import io
import socket
import threading
from contextlib import contextmanager

import httpx2
import pytest
from PIL import Image

from maskkit.testing import FixedDetector
from maskkit.web import create_app, make_server


def as_png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class GatedDetector(FixedDetector):
    """Detector that waits while its gate is closed, and signals each photo that reaches it."""

    def __init__(self, boxes_xyxy, scores=None):
        super().__init__(boxes_xyxy, scores)
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Semaphore(0)
        self.n_photos = 0

    def close(self):
        """Make photos wait from now on; earlier photos do not count."""
        while self.reached.acquire(blocking=False):
            pass
        self.n_photos = 0
        self.gate.clear()

    def detect(self, image):
        self.reached.release()
        assert self.gate.wait(60)
        self.n_photos += 1
        return super().detect(image)


@pytest.fixture
def detector():
    detector = GatedDetector([[0, 0, 64, 64]])
    yield detector
    detector.gate.set()  # otherwise a failed test would never end


@pytest.fixture
def gated(fitted, detector):
    """The fitted classifier with a detector that can wait."""
    return with_detector(fitted, detector)


def with_detector(classifier, detector):
    other = copy.copy(classifier)
    other.detector = other.detector_ = detector
    return other


@pytest.fixture(scope="session")
def photo(faces):
    """A drawn face as the bytes of a PNG file."""
    return as_png(faces[0][0])


class Live:
    """A server in a thread, on a free port."""

    def __init__(self, classifier, *, server_options=None, **options):
        self.app = create_app(classifier, **options)
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = self.listening.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}/"
        started = threading.Event()
        server_options = {"seconds": 30, **(server_options or {})}
        self.server = make_server(self.app, on_start=started.set, **server_options)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})
        self.thread.start()
        assert started.wait(60)

    def stop(self):
        self.server.should_exit = True

    def join(self):
        self.thread.join(60)
        assert not self.thread.is_alive()


@contextmanager
def serving(classifier, **options):
    """Run a server that listens on a socket."""
    live = Live(classifier, **options)
    try:
        yield live
    finally:
        live.stop()
        live.join()


@contextmanager
def serving_client(classifier, **options):
    """Return a client of a new server."""
    with (
        serving(classifier, **options) as live,
        httpx2.Client(base_url=live.url, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(fitted):
    with serving_client(fitted) as client:
        yield client
