"""The server as it listens: its end, slow clients, too many clients, and the command that starts it."""

import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from maskkit.web import Limits
from maskkit.web._server import bind, is_loopback, url_of
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
    """Ask again until it holds, but not for ever."""
    waiting = threading.Event()
    for _ in range(1_000):
        if condition():
            return
        waiting.wait(0.02)
    pytest.fail("it did not come about")


def metric(live, line):
    text = httpx2.get(f"{live.url}metrics", timeout=60, trust_env=False).text
    return next(float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line))


def test_what_is_begun_is_answered_before_the_end(gated, detector, photo, pool):
    with serving(gated) as live:
        detector.close()
        begun = [pool.submit(post, live, photo)]
        assert detector.reached.acquire(timeout=60)
        begun += [pool.submit(post, live, photo) for _ in range(2)]
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 2)
        live.stop()
        wait_until(lambda: refuses_connections(live.address))
        detector.gate.set()
        assert [answer.result(60).status_code for answer in begun] == [200] * 3
        live.join()


def refuses_connections(address):
    try:
        socket.create_connection(address, timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_above_the_queue_requests_are_sent_away_and_told_when_to_come_back(gated, detector, photo, pool):
    with serving(gated, limits=Limits(images=2, waiting_images=3)) as live:
        detector.close()
        first = pool.submit(post, live, photo)
        assert detector.reached.acquire(timeout=60)
        waiting = [pool.submit(post, live, photo) for _ in range(3)]
        wait_until(lambda: metric(live, "maskkit_queue_photos") == 3)
        sent_away = [pool.submit(post, live, photo).result(60) for _ in range(4)]
        assert [answer.status_code for answer in sent_away] == [503] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in sent_away)
        assert sent_away[0].json()["error"]["code"] == "busy"
        assert httpx2.get(f"{live.url}health", timeout=60, trust_env=False).status_code == 200
        detector.gate.set()
        assert [answer.result(60).status_code for answer in (first, *waiting)] == [200] * 4
        assert metric(live, 'maskkit_requests_total{path="/v1/faces",status="503"}') == 4
        assert metric(live, "maskkit_batch_photos_count") == 2
        assert metric(live, "maskkit_batch_photos_sum") == 4


def test_clients_that_upload_slowly_do_not_hold_up_the_others(fitted, photo):
    with serving(fitted) as live:
        slow = [socket.create_connection(live.address, timeout=60) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
            connection.sendall(b"Content-Length: 9000\r\n\r\nx")
        assert post(live, photo).status_code == 200
        for connection in slow:
            connection.close()


def test_clients_that_send_no_request_are_hung_up_on(fitted, photo):
    with serving(fitted, header_seconds=0.1) as live:
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
            with socket.create_connection(live.address, timeout=60) as connection:
                connection.sendall(begun)
                assert connection.recv(100) == b""
        assert post(live, photo).status_code == 200


def test_a_large_upload_that_is_refused_sees_why(fitted):
    large = b"x" * 4_000_000
    with serving(fitted, token="secret", limits=Limits(image_bytes=1_000_000, request_bytes=5_000_000)) as live:
        assert post(live, large).status_code == 401
        response = httpx2.post(
            f"{live.url}v1/faces", content=large, headers=PNG | {"Authorization": "Bearer secret"}, trust_env=False
        )
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_addresses():
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert is_loopback(listening)
        assert url_of(listening) == f"http://127.0.0.1:{port}/"
        with pytest.raises(
            OSError, match=rf"127.0.0.1:{port} cannot be listened on \(address already in use\); choose"
        ):
            bind("127.0.0.1", port)
    with bind("0.0.0.0", 0) as listening:
        assert not is_loopback(listening)
        assert url_of(listening).startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match=r"--host nowhere\.invalid: is no address of this machine"):
        bind("nowhere.invalid", 0)


def test_a_port_that_is_taken_is_one_line(capsys):
    with bind("127.0.0.1", 0) as listening:
        code, out, err = run(capsys, "serve", "--port", listening.getsockname()[1])
    assert (code, out) == (1, "")
    assert err.startswith("maskkit: error: 127.0.0.1:")
    assert err.endswith("choose another --port, or 0 for any.\n")


def test_usage_is_checked(capsys, monkeypatch):
    assert run(capsys, "serve", "--port", 70_000)[0] == 2
    assert run(capsys, "serve", "--queue", 3, "--max-images", 4)[0] == 2
    assert run(capsys, "serve", "--timeout", 0)[0] == 2
    monkeypatch.setitem(sys.modules, "maskkit.web", None)
    assert run(capsys, "serve")[0] == 1


def test_the_command_serves_and_ends(savable, photo, tmp_path):
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
            said = process.stdout.readline()
            assert said.startswith("listening on http://127.0.0.1:")
            response = httpx2.post(
                f"{said.split()[2]}v1/faces", content=photo, headers=PNG, timeout=60, trust_env=False
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
    assert list(tmp_path.iterdir()) == [model]  # nothing was stored


def test_options_reach_the_server(savable, tmp_path, capsys, monkeypatch):
    made = {}

    def note(classifier, **options):
        made.update(options, detector=type(classifier.detector_).__name__)
        raise ValueError("that is enough")

    monkeypatch.setattr("maskkit.web.create_app", note)
    monkeypatch.setenv("MASKKIT_TOKEN", "from the environment")
    options = "--allow-host a.example --allow-host b.example --max-bytes 100000000 --queue 20 --timeout 2"
    model = savable.save(tmp_path / "model")
    code, _, err = run(capsys, "serve", "--model", model, "--port", 0, *options.split())
    assert (code, err) == (1, "maskkit: error: that is enough\n")
    assert (made["token"], made["hosts"], made["detector"]) == (
        "from the environment",
        ["a.example", "b.example"],
        "WholeImageDetector",
    )
    limits = made["limits"]
    assert (limits.image_bytes, limits.waiting_images, limits.seconds) == (100_000_000, 20, 2)
    assert limits.request_bytes > limits.image_bytes
