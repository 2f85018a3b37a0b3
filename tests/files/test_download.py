"""Downloads against a server of this machine that truncates, stalls, lies and redirects."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from maskkit._files import download as _download
from maskkit._files.download import RemoteFile, fetch
from maskkit.exceptions import WeightsError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """What a path says is what it does wrong."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers["Range"]))
        getattr(self, self.path.split("/")[1])()

    def answer(self, content, code=200, **headers):
        self.send_response(code)
        for name, value in {"Content_Length": len(content), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def well(self):
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        if start >= len(CONTENT):
            return self.answer(b"", 416)
        if start:
            return self.answer(CONTENT[start:], 206, Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        return self.answer(CONTENT)

    def ignores_ranges(self):
        self.answer(CONTENT)

    def another_range(self):
        self.answer(CONTENT[:10], 206, Content_Range="bytes 0-9/10")

    def breaks_off_twice(self):
        if len(self.server.requests) < 3:
            start = int((self.headers["Range"] or "bytes=0-")[6:-1])
            headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
            return self.answer(
                CONTENT[start : start + 100_000], 206 if start else 200, Content_Length=len(CONTENT) - start, **headers
            )
        return self.well()

    def always_truncates(self):
        self.answer(CONTENT[:1000], Content_Length=len(CONTENT))

    def truncates_and_says_nothing(self):
        self.answer(CONTENT[:1000], Content_Length=None)

    def says_too_little(self):
        self.answer(CONTENT, Content_Length=1000)

    def says_far_too_much(self):
        self.answer(CONTENT, Content_Length=10**12)

    def never_ends(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(CONTENT)

    def stalls(self):
        self.answer(CONTENT[:1000], Content_Length=len(CONTENT))
        self.server.is_over.wait()

    def drips(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        while not self.server.is_over.wait(0.01):
            self.wfile.write(b"x")

    def another_content(self):
        self.answer(CONTENT[::-1])

    def busy_once(self):
        self.well() if len(self.server.requests) > 1 else self.answer(b"", 503)

    def absent(self):
        self.answer(b"", 404)

    def redirects(self):
        self.answer(b"", 302, Location="/well/file.bin")

    def redirects_for_ever(self):
        self.answer(b"", 302, Location=self.path + "x")

    def redirects_to_a_local_file(self):
        self.answer(b"", 302, Location="file:///etc/hostname")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("MASKKIT_OFFLINE", raising=False)
    monkeypatch.delenv("MASKKIT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests, server.is_over = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *args: None  # the other side hanging up is what some tests are about
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.is_over.set()
    server.shutdown()
    server.server_close()


def remote(server, behaviour):
    return RemoteFile(f"{server.url}/{behaviour}/file.bin", SHA256, max_bytes=400_000)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("behaviour", ["well", "breaks_off_twice", "busy_once", "redirects"])
def test_the_file_is_had_whole_and_once(server, tmp_path, behaviour):
    path = fetch(remote(server, behaviour), tmp_path, hint="give up")
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["file.bin"]
    n_requests = len(server.requests)
    assert fetch(remote(server, behaviour), tmp_path, hint="give up") == path
    assert len(server.requests) == n_requests


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("always_truncates", r"ended after 1,000 of 300,000 bytes|another checksum"),
        ("truncates_and_says_nothing", "another checksum"),
        ("says_too_little", "another checksum"),
        ("says_far_too_much", r"1,000,000,000,000 bytes, want 400,000 at most"),
        ("never_ends", r"more than 400,000 bytes"),
        ("another_content", "another checksum"),
        ("absent", "404"),
        ("redirects_for_ever", "redirect"),
        ("redirects_to_a_local_file", "not allowed"),
    ],
)
def test_a_server_that_does_wrong_gives_one_error_and_no_file(server, tmp_path, behaviour, reason):
    with pytest.raises(
        WeightsError, match=rf"file\.bin cannot be downloaded from {server.url}.*({reason}).*; give up\."
    ):
        fetch(remote(server, behaviour), tmp_path, hint="give up")
    assert "file.bin" not in files(tmp_path)


@pytest.mark.parametrize(("behaviour", "reason"), [("stalls", "timed out|ended after"), ("drips", "slower than")])
def test_nobody_is_waited_for_without_end(server, tmp_path, behaviour, reason, monkeypatch):
    monkeypatch.setattr(_download, "STALL_S", 0.2)
    monkeypatch.setattr(_download, "_MIN_BYTES_PER_S", 10**6)
    with pytest.raises(WeightsError, match=reason):
        fetch(remote(server, behaviour), tmp_path, hint="give up")


@pytest.mark.parametrize("behaviour", ["well", "ignores_ranges", "another_range"])
def test_half_of_a_file_is_gone_on_with(server, tmp_path, behaviour):
    (tmp_path / f"file.bin.{SHA256[:8]}.part").write_bytes(CONTENT[:200_000])
    if behaviour == "another_range":
        with pytest.raises(WeightsError, match="another checksum"):
            fetch(remote(server, behaviour), tmp_path, hint="give up")
    else:
        assert fetch(remote(server, behaviour), tmp_path, hint="give up").read_bytes() == CONTENT
    assert server.requests[0][1] == "bytes=200000-"


@pytest.mark.parametrize("half", [CONTENT + b"more", b"wrong" * 1000])
def test_a_wrong_half_is_thrown_away(server, tmp_path, half):
    (tmp_path / f"file.bin.{SHA256[:8]}.part").write_bytes(half)
    assert fetch(remote(server, "well"), tmp_path, hint="give up").read_bytes() == CONTENT


def test_a_damaged_copy_is_never_trusted(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"!")
    assert fetch(remote(server, "well"), tmp_path, hint="give up").read_bytes() == CONTENT


def test_https_is_not_left(tmp_path):
    request = _download.urllib.request.Request("https://example.org/file.bin")
    with pytest.raises(OSError, match=r"http://example\.org/file\.bin, which is not https"):
        _download._SafeRedirects().redirect_request(request, None, 302, "", {}, "http://example.org/file.bin")


def test_a_mirror_serves_the_same_names(server, tmp_path, monkeypatch):
    away = RemoteFile("https://example.invalid/deep/file.bin", SHA256, max_bytes=400_000)
    monkeypatch.setenv("MASKKIT_MIRROR", f"{server.url}/well")
    assert fetch(away, tmp_path / "one", hint="give up").read_bytes() == CONTENT
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "file.bin").write_bytes(CONTENT)
    monkeypatch.setenv("MASKKIT_MIRROR", (tmp_path / "mirror").as_uri())
    assert fetch(away, tmp_path / "two", hint="give up").read_bytes() == CONTENT


def test_offline_asks_nobody(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="MASKKIT_OFFLINE is set"):
        fetch(remote(server, "well"), tmp_path, hint="give up")
    assert server.requests == []


def test_threads_that_start_together_share_one_download(server, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(remote(server, "well"), tmp_path, hint="give up"), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="give up"):
        fetch(remote(server, "well"), tmp_path / "file", hint="give up")
