"""Streams that stop and come back, over the loopback network."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import maskkit
from maskkit._video import frames as _frames
from maskkit._video.sources import find_place, hide_password
from maskkit.exceptions import VideoError
from tests.video.videos import write_video


@contextlib.contextmanager
def serve(*answers):
    """Answer each request for a stream in turn: bytes that end, or the number of an error; then 404 for ever."""
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


def test_stream_that_stops_is_opened_again(stream, savable, monkeypatch, tmp_path):
    monkeypatch.setattr(_frames, "FIRST_PAUSE_S", 0.01)
    with (
        serve(stream, 503, stream) as url,
        maskkit.watch(savable, url, save=tmp_path / "out.mkv", give_up_after_s=0.1) as watching,
    ):
        assert watching.is_live
        events = [event.to_dict() for step in watching for event in step.events]
    changes = [event for event in events if event["event"].startswith("stream")]
    assert [event["event"] for event in changes] == ["stream_lost", "stream_back", "stream_lost"]
    assert changes[0]["reason"]
    assert changes[1]["n_tries"] == 2
    assert changes[1]["away_s"] > 0
    end = events[-1]
    assert end["reason"] == "given_up"
    # What the decoder still held when the connection broke is lost.
    assert 36 <= end["n_read"] <= 40
    assert end["n_read"] == end["n_handled"] + end["n_dropped"] + end["n_failed"]


def test_waiting_for_a_stream_can_be_ended(stream, savable):
    with serve(stream) as url, maskkit.watch(savable, url) as watching:
        for step in watching:
            if any(event.event == "stream_lost" for event in step.events):
                watching.stop()
        assert step.events[-1].details["reason"] == "stopped"


def test_stream_that_is_not_there_is_an_error(savable):
    with serve() as url, pytest.raises(VideoError, match=r"/camera: cannot be opened .*; check the address"):
        maskkit.watch(savable, url)


def test_passwords_are_told_to_nobody():
    place = find_place("rtsp://admin:secret@192.0.2.1/stream")
    assert place.name == "rtsp://192.0.2.1/stream"
    assert "secret" in place.url
    assert hide_password("http://host/@home") == "http://host/@home"


def test_rtsp_comes_over_tcp_unless_told_otherwise():
    assert find_place("rtsp://192.0.2.1/").options == {"rtsp_transport": "tcp"}
    assert find_place("rtsp://192.0.2.1/", {"rtsp_transport": "udp"}).options == {"rtsp_transport": "udp"}


@pytest.mark.parametrize(
    ("platform", "source", "url", "reader"),
    [
        ("linux", "0", "/dev/video0", "v4l2"),
        ("linux", 2, "/dev/video2", "v4l2"),
        ("linux", "/dev/video1", "/dev/video1", "v4l2"),
        ("darwin", "1", "1:none", "avfoundation"),
    ],
)
def test_numbers_are_cameras(monkeypatch, platform, source, url, reader):
    monkeypatch.setattr("sys.platform", platform)
    place = find_place(source)
    assert (place.url, place.format, place.is_camera) == (url, reader, True)


def test_file_with_a_number_for_a_name_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").touch()
    assert find_place("7").is_file
