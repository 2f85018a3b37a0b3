"""Downloads from a local server that truncates, lies, redirects or is not allowed to be asked."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from maskkit._files.download import download
from maskkit.exceptions import WeightsError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """The first part of the path is the method that answers."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        getattr(self, self.path.split("/")[1])()

    def answer(self, content, code=200, **headers):
        self.send_response(code)
        for name, value in {"Content_Length": len(content), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def correct(self):
        self.answer(CONTENT)

    def truncated(self):
        self.answer(CONTENT[:1000], Content_Length=len(CONTENT))

    def truncated_without_length(self):
        self.answer(CONTENT[:1000], Content_Length=None)

    def length_too_small(self):
        self.answer(CONTENT, Content_Length=1000)

    def length_too_large(self):
        self.answer(CONTENT, Content_Length=10**12)

    def other_content(self):
        self.answer(CONTENT[::-1])

    def busy(self):
        self.answer(b"", 503)

    def absent(self):
        self.answer(b"", 404)

    def redirects(self):
        self.answer(b"", 302, Location="/correct/file.bin")

    def redirects_for_ever(self):
        self.answer(b"", 302, Location=self.path + "x")

    def redirects_to_a_local_file(self):
        self.answer(b"", 302, Location="file:///etc/hostname")


@pytest.fixture(scope="module")
def running_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *args: None  # some tests end connections early
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running_server, monkeypatch, tmp_path):
    monkeypatch.delenv("MASKKIT_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    running_server.requests = []
    return running_server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "hub" / "checkpoints"


def get(server, behavior):
    return download(f"{server.url}/{behavior}/file.bin", SHA256, hint="pass the file")


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("behavior", ["correct", "length_too_large", "redirects"])
def test_file_is_downloaded_once(server, folder, behavior):
    path = get(server, behavior)
    assert path == folder / "file.bin"
    assert path.read_bytes() == CONTENT
    assert files(folder) == ["file.bin"]
    n_requests = len(server.requests)
    assert get(server, behavior) == path
    assert len(server.requests) == n_requests


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("truncated", "invalid hash value"),
        ("truncated_without_length", "invalid hash value"),
        ("length_too_small", "invalid hash value"),
        ("other_content", "invalid hash value"),
        ("busy", "503"),
        ("absent", "404"),
        ("redirects_for_ever", "redirect"),
        ("redirects_to_a_local_file", "not allowed"),
    ],
)
def test_wrong_answer_is_one_error_and_leaves_no_file(server, folder, behavior, reason):
    message = rf"file\.bin cannot be downloaded from {server.url}.*({reason}).*; pass the file\."
    with pytest.raises(WeightsError, match=message):
        get(server, behavior)
    assert files(folder) == []


def test_damaged_copy_is_downloaded_again(server, folder):
    folder.mkdir(parents=True)
    (folder / "file.bin").write_bytes(CONTENT[:-1] + b"!")
    assert get(server, "correct").read_bytes() == CONTENT


def test_file_that_was_passed_by_hand_is_used_offline(server, folder, monkeypatch):
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    folder.mkdir(parents=True)
    (folder / "file.bin").write_bytes(CONTENT)
    assert get(server, "correct") == folder / "file.bin"
    assert server.requests == []


def test_offline_sends_no_request(server, monkeypatch):
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"\(MASKKIT_OFFLINE is set\); pass the file"):
        get(server, "correct")
    assert server.requests == []


def test_concurrent_calls_share_one_download(server):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: get(server, "correct"), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.requests) == 1


def test_folder_that_cannot_be_made_is_an_error(server, tmp_path):
    (tmp_path / "hub").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="pass the file"):
        get(server, "correct")
