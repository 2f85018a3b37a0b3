"""The listening server: shutdown, slow clients, full queue, and the command `maskkit serve`."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from maskkit.web import Limits, make_server
from tests.cli.test_cli import run
from tests.web.conftest import serving

PNG = {"Content-Type": "image/png"}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def post(live, photo, **options):
    return httpx2.post(f"{live.url}v1/faces", content=photo, headers=PNG, timeout=60, trust_env=False, **options)


def wait_until(condition):
    """Poll until a condition holds, but not forever."""
    waiting = threading.Event()
    for _ in range(1_000):
        if condition():
            return
        waiting.wait(0.02)
    pytest.fail("the condition never held")


def metric(live, line):
    text = httpx2.get(f"{live.url}metrics", timeout=60, trust_env=False).text
    return next((float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line)), 0)


@pytest.fixture
def one_batch(monkeypatch):
    """Batches are predicted one at a time, so that it is known which photos wait."""
    monkeypatch.setattr("maskkit.web._batcher.N_BATCHES", 1)


@pytest.mark.usefixtures("one_batch")
def test_open_requests_are_answered_before_shutdown(gated, detector, photo, pool):
    with serving(gated) as live:
        detector.close()
        open_requests = [pool.submit(post, live, photo)]
        assert detector.reached.acquire(timeout=60)
        open_requests += [pool.submit(post, live, photo) for _ in range(2)]
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 2)
        live.stop()
        wait_until(lambda: refuses_connections(live.address))
        detector.gate.set()
        assert [answer.result(60).status_code for answer in open_requests] == [200] * 3
        live.join()


def refuses_connections(address):
    try:
        socket.create_connection(address, timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.usefixtures("one_batch")
def test_full_queue_answers_503_with_retry_after(gated, detector, photo, pool):
    with serving(gated, limits=Limits(images=2, waiting_images=3)) as live:
        detector.close()
        first = pool.submit(post, live, photo)
        assert detector.reached.acquire(timeout=60)
        waiting = [pool.submit(post, live, photo) for _ in range(3)]
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 3)
        refused = [pool.submit(post, live, photo).result(60) for _ in range(4)]
        assert [answer.status_code for answer in refused] == [503] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert refused[0].json()["error"]["code"] == "queue_full"
        assert httpx2.get(f"{live.url}health", timeout=60, trust_env=False).status_code == 200
        detector.gate.set()
        assert [answer.result(60).status_code for answer in (first, *waiting)] == [200] * 4
        assert metric(live, 'maskkit_requests_total{path="/v1/faces",status="503"}') == 4
        assert metric(live, "maskkit_batch_photos_count") == 2
        assert metric(live, "maskkit_batch_photos_sum") == 4


def send(live, photo, n_photos=1):
    """Send photos in a form, and return the connection without reading the answer."""
    part = b'--x\r\nContent-Disposition: form-data; name=a; filename="a.png"\r\n\r\n' + photo + b"\r\n"
    body = part * n_photos + b"--x--\r\n"
    header = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    connection = socket.create_connection(live.address, timeout=60)
    connection.sendall(header.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
    return connection


GONE = 'maskkit_requests_total{path="/v1/faces",status="400"}'


def test_photos_in_a_batch_are_canceled_when_their_client_hangs_up(gated, detector, photo):
    with serving(gated) as live:
        detector.close()
        connection = send(live, photo, 16)
        assert detector.reached.acquire(timeout=60)
        connection.close()
        wait_until(lambda: metric(live, GONE) == 1)
        assert metric(live, "maskkit_queue_photos") == 0
        detector.gate.set()
        assert post(live, photo).status_code == 200
        # The photo that was being searched, and that of the next client.
        assert detector.n_photos == 2


@pytest.mark.usefixtures("one_batch")
def test_photos_in_the_queue_are_canceled_when_their_client_hangs_up(gated, detector, photo, pool):
    with serving(gated, limits=Limits(images=4, waiting_images=4)) as live:
        detector.close()
        first = pool.submit(post, live, photo)
        assert detector.reached.acquire(timeout=60)
        connection = send(live, photo, 4)
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 4)
        connection.close()
        wait_until(lambda: metric(live, GONE) == 1)
        assert metric(live, "maskkit_queue_photos") == 0
        next_one = pool.submit(post, live, photo)  # there is room again
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 1)
        detector.gate.set()
        assert [answer.result(60).status_code for answer in (first, next_one)] == [200, 200]
        assert detector.n_photos == 2


def test_faces_are_not_classified_when_their_client_hangs_up(gated, detector, photo, monkeypatch):
    classified = []
    predictor_class = type(gated.predictor_)
    iterate_batches = predictor_class.iterate_batches

    def record(self, crops, **options):
        classified.append(len(crops))
        return iterate_batches(self, crops, **options)

    with serving(gated) as live:
        monkeypatch.setattr(predictor_class, "iterate_batches", record)
        detector.close()
        connection = send(live, photo)
        assert detector.reached.acquire(timeout=60)
        connection.close()
        wait_until(lambda: metric(live, GONE) == 1)
        detector.gate.set()
        assert post(live, photo).status_code == 200
    assert classified == [1]


def test_memory_of_a_client_that_hangs_up_while_sending_is_released(fitted, photo):
    with serving(fitted, limits=Limits(request_bytes=6_000, waiting_bytes=6_000, image_bytes=5_000)) as live:
        for n in range(1, 4):
            connection = socket.create_connection(live.address, timeout=60)
            connection.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
            connection.sendall(b"Content-Length: 5000\r\n\r\n" + b"x" * 4_000)
            connection.close()
            wait_until(lambda n=n: metric(live, GONE) == n)
        assert post(live, b"x" * 5_000).status_code == 422


def test_slow_uploads_do_not_block_other_clients(fitted, photo):
    with serving(fitted) as live:
        slow = [socket.create_connection(live.address, timeout=60) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
            connection.sendall(b"Content-Length: 9000\r\n\r\nx")
        assert post(live, photo).status_code == 200
        for connection in slow:
            connection.close()


def test_connections_without_a_request_do_not_block_other_clients(fitted, photo):
    with serving(fitted, server_options={"max_connections": 40}) as live:
        connections = [socket.create_connection(live.address, timeout=60) for _ in range(39)]
        for connection in connections[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        wait_until(lambda: len(live.server.server_state.connections) == 39)
        refused = httpx2.get(f"{live.url}health", timeout=60, trust_env=False)
        assert refused.status_code == 503  # the number of connections is limited
        connections.pop().close()
        wait_until(lambda: len(live.server.server_state.connections) == 38)
        assert post(live, photo).status_code == 200
        for connection in connections:
            connection.close()


def test_refused_large_upload_receives_the_error(fitted):
    large = b"x" * 4_000_000
    with serving(fitted, token="secret", limits=Limits(image_bytes=1_000_000, request_bytes=5_000_000)) as live:
        assert post(live, large).status_code == 401
        response = httpx2.post(
            f"{live.url}v1/faces", content=large, headers=PNG | {"Authorization": "Bearer secret"}, trust_env=False
        )
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.fixture
def listen(savable, tmp_path, capsys, monkeypatch):
    """Return a function that starts the command, and returns its port, output and warnings; it ends at once."""
    model = savable.save(tmp_path / "model")
    ports = []

    async def start(self, sockets=None):
        ports.extend(listening.getsockname()[1] for listening in sockets)

    monkeypatch.setattr("uvicorn.Server.startup", start)
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: asyncio.run(self.startup(sockets)))

    def listen(host):
        code, out, err = run(capsys, "serve", "--model", model, "--host", host, "--port", 0)
        assert code == 0
        return ports.pop(), out, err

    return listen


def test_addresses(listen, capsys):
    port, out, err = listen("127.0.0.1")
    assert out == f"listening on http://127.0.0.1:{port}/ (press Ctrl-C to stop)\n"
    assert "anyone who can reach this address" not in err
    port, out, err = listen("0.0.0.0")
    assert out.startswith(f"listening on http://127.0.0.1:{port}/ ")
    assert "anyone who can reach this address can use the server" in err
    code, _, err = run(capsys, "serve", "--host", "nowhere.invalid", "--port", 0)
    assert code == 1
    assert err.startswith("maskkit: error: --host nowhere.invalid is not an address of this machine")


def test_handlers_of_the_logging_of_the_program_stay_open_and_get_the_warnings(caplog):
    closed = []

    class Handler(logging.Handler):
        def close(self):
            closed.append(self)
            super().close()

    handler = Handler()
    make_server(lambda: None, seconds=1)
    assert closed == []
    logging.getLogger("uvicorn.error").info("unimportant")
    logging.getLogger("uvicorn.error").warning("important")
    assert caplog.messages == ["important"]
    handler.close()


def test_port_in_use_is_a_one_line_error(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        code, out, err = run(capsys, "serve", "--port", port)
    assert (code, out) == (1, "")
    assert err.startswith(f"maskkit: error: cannot listen on 127.0.0.1:{port} (address already in use); ")
    assert err.endswith("choose another --port, or 0 for any.\n")


def test_invalid_usage_is_an_error(capsys, monkeypatch):
    assert run(capsys, "serve", "--port", 70_000)[0] == 2
    assert run(capsys, "serve", "--queue", 3, "--max-images", 4)[0] == 2
    assert run(capsys, "serve", "--timeout", 0)[0] == 2
    code, _, err = run(capsys, "serve", "--allow-host", "*.example.org")
    assert code == 1
    assert "'*.example.org' is not a host name" in err
    for token, reason in {
        "": "MASKKIT_TOKEN: is set but empty",
        " ": "the token is empty",
        "a ": "a space at an end",
    }.items():
        monkeypatch.setenv("MASKKIT_TOKEN", token)
        code, out, err = run(capsys, "serve", "--port", 0)
        assert code in (1, 2)
        assert reason in err
        assert out == ""
    monkeypatch.delenv("MASKKIT_TOKEN")
    monkeypatch.setitem(sys.modules, "maskkit.web", None)
    assert run(capsys, "serve")[0] == 1


def test_command_serves_and_stops(savable, photo, tmp_path):
    model = savable.save(tmp_path / "model")
    command = [sys.executable, "-c", "from maskkit.cli import main; main()", "serve", "--model", str(model)]
    with subprocess.Popen(
        [*command, "--port", "0", "--host", "0.0.0.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            response = httpx2.post(
                f"{line.split()[2]}v1/faces", content=photo, headers=PNG, timeout=60, trust_env=False
            )
            assert response.status_code == 200
            assert response.json()["photos"][0]["status"] == "ok"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == [
        "maskkit: warning: anyone who can reach this address can use the server; set a --token.",
        "stopped",
    ]
    assert list(tmp_path.iterdir()) == [model]  # nothing else was written


def test_options_reach_the_server(savable, tmp_path, capsys, monkeypatch):
    made = {}

    def record(classifier, **options):
        made.update(options, detector=type(classifier.detector_).__name__)
        raise ValueError("that is enough")

    monkeypatch.setattr("maskkit.web.create_app", record)
    monkeypatch.setenv("MASKKIT_TOKEN", "from-the-environment")
    options = "--allow-host a.example --allow-host https://B.example:8443 --max-bytes 100000000 --queue 20 --timeout 2"
    model = savable.save(tmp_path / "model")
    code, _, err = run(capsys, "serve", "--model", model, "--port", 0, *options.split())
    assert (code, err) == (1, "maskkit: error: that is enough\n")
    assert (made["token"], made["hosts"], made["detector"]) == (
        "from-the-environment",
        ["a.example", "b.example"],
        "WholeImageDetector",
    )
    limits = made["limits"]
    assert (limits.image_bytes, limits.waiting_images, limits.seconds) == (100_000_000, 20, 2)
    assert limits.request_bytes > limits.image_bytes
