"""Streams that are lost and restored, over the loopback network."""

import contextlib
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import av

import maskkit
from maskkit.exceptions import VideoError
from tests.cli.conftest import run
from tests.video.videos import write_video


@contextlib.contextmanager
def serve(*answers):
    """Answer each request in turn with a stream of bytes or an error status, and further ones with 404."""
    turns = iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = next(turns, 404)
            self.send_response(200 if isinstance(answer, bytes) else answer)
            self.end_headers()
            if isinstance(answer, bytes):
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/camera"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("stream") / "camera.ts", 20, codec="mpeg2video").read_bytes()


def test_lost_stream_is_reopened(stream, savable, monkeypatch, tmp_path):
    monkeypatch.setattr("maskkit._video.readers.FIRST_PAUSE_S", 0.01)
    with (
        serve(stream, 503, stream) as url,
        maskkit.watch(savable, url, save=tmp_path / "out.mkv", reconnect_timeout_s=0.1) as watching,
    ):
        assert watching.is_live
        events = [event.to_dict() for step in watching for event in step.events]
    changes = [event for event in events if event["event"].startswith("stream")]
    assert [event["event"] for event in changes] == ["stream_lost", "stream_restored", "stream_lost"]
    assert changes[0]["reason"]
    assert changes[1]["n_attempts"] == 2
    assert changes[1]["outage_s"] > 0
    end = events[-1]
    assert end["reason"] == "reconnect_timeout"
    # The frames that were still in the decoder when the connection broke are lost.
    assert 36 <= end["n_read"] <= 40
    assert end["n_read"] == end["n_processed"] + end["n_dropped"] + end["n_failed"]


def test_waiting_for_a_stream_can_be_stopped(stream, savable):
    with serve(stream) as url, maskkit.watch(savable, url) as watching:
        for step in watching:
            if any(event.event == "stream_lost" for event in step.events):
                watching.stop()
        assert step.events[-1].details["reason"] == "stopped"


def test_missing_stream_is_an_error(savable):
    with serve() as url, pytest.raises(VideoError, match=r"/camera: cannot be opened .*; check the address"):
        maskkit.watch(savable, url)


@pytest.fixture
def refuse(savable, monkeypatch):
    """Let PyAV open nothing; return a function that watches a source, and returns what was opened and the error."""
    opened = []

    def record(url, **settings):
        opened.append((url, settings["format"], settings["options"]))
        raise OSError("refused")

    monkeypatch.setattr(av, "open", record)

    def watch(source, **settings):
        with pytest.raises(VideoError) as error:
            maskkit.watch(savable, source, **settings)
        return *opened.pop(), str(error.value)

    return watch


def test_passwords_are_hidden(refuse):
    url, _, _, error = refuse("rtsp://admin:secret@192.0.2.1/stream")
    assert error.startswith("rtsp://192.0.2.1/stream: cannot be opened")
    assert "secret" in url
    assert "secret" not in error
    assert refuse("http://host/@home")[-1].startswith("http://host/@home: cannot be opened")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://admin:se/c@ret@192.0.2.1:554/stream", "rtsp://192.0.2.1:554/stream"),
        ("http://secret@host:80/@home", "http://host:80/@home"),
        (
            "http://host:80/a?channel=1&user_Password=secret&token=secret",
            "http://host:80/a?channel=1&user_Password=***&token=***",
        ),
        ("http://[::1]/@home", "http://[::1]/@home"),
    ],
)
def test_no_part_of_a_password_is_shown(refuse, url, name):
    assert refuse(url)[-1].startswith(f"{name}: cannot be opened")


SECRET = "Geheim"  # It occurs in no message by itself.


def chain_of(exc):
    """Return an exception and everything that its traceback shows with it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (f"http://user:p@{SECRET}/x@127.0.0.1:9/stream", {}),
        (f"rtsp://user:p@{SECRET}@127.0.0.1:9", {}),
        (f"http://127.0.0.1:9/user=admin&password={SECRET}&channel=1", {}),
        (f"http://127.0.0.1:9/video?channel=1&pwd={SECRET}", {}),
        ("http://127.0.0.1:9/video", {"headers": f"Authorization: Basic {SECRET}"}),
        ("http://127.0.0.1:9/video", {f"Authorization: Basic {SECRET}": "1"}),
        ("/dev/video99", {"password": SECRET}),
        (f"nosuch://user:{SECRET}@host", {}),
    ],
)
def test_passwords_are_hidden_in_chained_errors_too(savable, source, options):
    with pytest.raises(VideoError) as error:
        maskkit.watch(savable, source, ffmpeg_options=options)
    for exc in chain_of(error.value):
        assert SECRET not in f"{exc} {exc!r} {vars(exc)}"
    assert SECRET not in "".join(traceback.format_exception(error.value))


def test_passwords_are_hidden_in_events_and_errors_of_the_command(stream, savable, capsys, tmp_path):
    savable.save(tmp_path / "model")
    log = tmp_path / "events.jsonl"
    with serve(stream) as url:
        url = url.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
        parameters = [
            "--events",
            log,
            "--reconnect-timeout",
            "0.1",
            "--ffmpeg-option",
            f"headers=X-Token: {SECRET}\r\n",
        ]
        for output in ("json", "table"):
            code, out, err = run(capsys, "watch", url, "--model", tmp_path / "model", "-f", output, *parameters)
            assert code == 1
            assert SECRET not in out + err
    assert "/camera?token=***" in log.read_text()
    assert SECRET not in log.read_text()


def test_sources_do_not_show_their_url(savable, stream):
    with serve(stream) as url, maskkit.watch(savable, url.replace("//", f"//user:{SECRET}@")) as watching:
        source = watching._reader.source
        assert SECRET in source.url
        assert SECRET not in repr(source) + watching._reader._thread.name + watching.source


def test_rtsp_uses_tcp_by_default(refuse):
    assert refuse("rtsp://192.0.2.1/")[2] == {"rtsp_transport": "tcp"}
    assert refuse("rtsp://192.0.2.1/", ffmpeg_options={"rtsp_transport": "udp"})[2] == {"rtsp_transport": "udp"}


@pytest.mark.parametrize(
    ("platform", "source", "url", "reader"),
    [
        ("linux", "0", "/dev/video0", "v4l2"),
        ("linux", 2, "/dev/video2", "v4l2"),
        ("linux", "/dev/video1", "/dev/video1", "v4l2"),
        ("darwin", "1", "1:none", "avfoundation"),
    ],
)
def test_numbers_are_cameras(refuse, monkeypatch, platform, source, url, reader):
    monkeypatch.setattr("sys.platform", platform)
    assert refuse(source)[:2] == (url, reader)
    assert "this camera cannot be opened" in refuse(source)[-1]


def test_file_named_by_a_number_is_a_file(refuse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").write_text("seven")
    assert refuse("7") == (
        "7",
        None,
        {},
        "7: is not a video that FFmpeg can read (refused), or an incomplete one, such as a .mp4 that was cut off.",
    )
