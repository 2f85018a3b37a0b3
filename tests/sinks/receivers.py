"""Events, and a web server that receives them as it is told to."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from maskkit import WatchEvent
from maskkit.sinks._worker import SinkWorker, close_workers

__all__ = ["Receiver", "SinkWorker", "close_workers", "listen", "make_events", "wait_for_message", "wait_until_sent"]


def make_events(*kinds, snapshot=None):
    return [
        WatchEvent(kind, float(index), datetime.now(UTC), {}, snapshot=snapshot) for index, kind in enumerate(kinds)
    ]


def wait_for_message(worker):
    """Wait until a worker has something to report."""
    while not worker._messages:
        time.sleep(0.001)


def wait_until_sent(worker, n_events):
    """Wait until a worker has sent so many events."""
    while True:
        with worker._condition:
            if worker._counts["sent"] == n_events:
                return
        time.sleep(0.001)


class Receiver:
    """Answers requests with the given statuses in turn, then with 200; keeps what it accepted.

    The status None is an answer that does not come before `go_on` is set.
    """

    def __init__(self, *answers):
        self.answers, self.accepted, self.headers, self.n_requests = list(answers), [], [], 0
        self.arrived, self.go_on = threading.Event(), threading.Event()

    def answer(self, headers, body):
        self.n_requests += 1
        self.headers.append(headers)
        self.arrived.set()
        status = self.answers.pop(0) if self.answers else 200
        if status is None:
            self.go_on.wait(30)
            status = 503
        if status == 200:
            self.accepted.append(json.loads(body))
        return status

    @property
    def ids(self):
        return [event["id"] for event in self.accepted]


@contextmanager
def listen(receiver, port=0):
    """Serve a receiver; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answer(dict(self.headers), body))
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        receiver.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
