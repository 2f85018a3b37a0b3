"""maskkit watch: output, files and exit codes."""

import itertools
import json
import signal

import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

from maskkit import Watch
from maskkit.cli.watch import stop_on_signal
from maskkit.detectors import WholeImageDetector
from tests.cli.conftest import run
from tests.video.videos import Script, ScriptedClassifier, read_video, walk, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("watch") / "walk.mp4", 20)


def test_table_counts_persons_and_frames(capsys, video, model, tmp_path):
    code, out, err = run(capsys, "watch", video, "--model", model, "--out", tmp_path / "out.mp4")
    assert code == 0
    assert "20 frames read: 20 processed, 0 dropped" in " ".join(out.split())
    assert "100%" in out
    assert max(map(len, out.splitlines())) <= 80
    assert f"written: {tmp_path / 'out.mp4'}" in err
    assert len(read_video(tmp_path / "out.mp4")[0]) == 20


def test_table_says_how_many_frames_were_searched_in_full(capsys, video, monkeypatch):
    classifier = ScriptedClassifier(Script(*walk(20)), near_script=Script(*walk(20)))
    monkeypatch.setattr("maskkit.cli.watch.load_model", lambda *_, **__: classifier)
    code, out, _ = run(capsys, "watch", video, "--search-every", "0.5")
    assert code == 0
    assert "20 frames read: 20 processed (2 searched in full), 0 dropped" in " ".join(out.split())


def test_closed_output_says_when_watching_stopped(capfd, video, model, monkeypatch):
    def fail(data):
        raise BrokenPipeError

    monkeypatch.setattr("maskkit.cli.watch.print_json", fail)
    monkeypatch.setattr("os.dup2", lambda *_: None)  # which would close the output of the tests
    code, _, err = run(capfd, "watch", video, "--model", model, "--format", "jsonl")
    assert code == 1
    assert "maskkit: error: standard output was closed, so watching stopped at 0." in err


def test_table_says_why_frames_failed(capsys, video, model, monkeypatch):
    detect, calls = WholeImageDetector.detect, itertools.count()

    def fail_on_every_second_frame(detector, image):
        if next(calls) % 2:
            raise RuntimeError("odd frames are not for me")
        return detect(detector, image)

    monkeypatch.setattr(WholeImageDetector, "detect", fail_on_every_second_frame)
    code, out, _ = run(capsys, "watch", video, "--model", model)
    out = " ".join(out.split())
    assert code == 0
    assert "10 failed; last failure: detector whole: detect() failed" in out
    assert "odd frames are not for me" in out


MODEL = {"model", "model_sha256", "maskkit_version"}
FIELDS = {
    "appeared": {"person", "decision", "probability", "first_s", "last_s", "n_frames", "box"},
    "decided": {"person", "decision", "probability", "first_s", "last_s", "n_frames", "box"},
    "left": {"person", "decision", "probability", "first_s", "last_s", "n_frames", "box"},
    "minute": {"minute", "from_s", "to_s", "n_frames", "n_persons", "persons"} | MODEL,
    "end": {"reason", "source", "n_read", "n_processed", "n_searched", "n_dropped", "n_failed", "n_skipped",
            "last_failure", "max_lag_s", "n_persons", "persons"} | MODEL,
}  # fmt: skip


def test_events_are_json_lines(capsys, video, model, tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_text('{"event": "of an earlier run"}\n', encoding="utf-8")
    code, out, _ = run(capsys, "watch", video, "--model", model, "--format", "jsonl", "--events", log)
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["appeared", "decided", "left", "minute", "end"]
    for event in events:
        assert set(event) == {"version", "id", "event", "time_s", "utc"} | FIELDS[event["event"]]
    assert log.read_text(encoding="utf-8") == '{"event": "of an earlier run"}\n' + out


@pytest.fixture
def unmasked(monkeypatch):
    """One person without a mask in every frame, whatever the model."""
    monkeypatch.setattr("maskkit.cli.watch.load_model", lambda *_, **__: ScriptedClassifier(Script(*walk(20, 0.1))))


def test_sinks_get_the_events_of_the_file(capsys, video, unmasked, tmp_path):
    sinks = ["--sink", f"jsonl:{tmp_path / 'a.jsonl'}", "--sink", f"jsonl:{tmp_path / 'b.jsonl'}"]
    code, out, err = run(
        capsys, "watch", video, "-f", "jsonl", "--alarm-after", "0.2", "--events", tmp_path / "events.jsonl", *sinks
    )
    assert code == 0
    kinds = ["appeared", "decided", "alarm", "left", "alarm_over", "minute", "end"]
    assert [json.loads(line)["event"] for line in out.splitlines()] == kinds
    for name in ("a.jsonl", "b.jsonl", "events.jsonl"):
        assert (tmp_path / name).read_text(encoding="utf-8") == out
    assert "maskkit: alarm: person 1 without_mask for 0.2 s" in err


def test_the_files_that_were_written_are_named_under_quiet_too(capsys, video, unmasked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "watch", video, "--quiet", "--events", "a.jsonl", "--sink", "jsonl")
    assert (code, err) == (0, "written: a.jsonl\nwritten: events.jsonl\n")
    code, _, err = run(capsys, "watch", video, "--quiet", "--sink", "jsonl:")
    assert (code, "sink 'jsonl:' has no argument after the colon" in err) == (1, True)


def test_the_table_counts_alarms(capsys, video, unmasked):
    code, out, _ = run(capsys, "watch", video, "--alarm-after", "0")
    assert code == 0
    assert "alarms: 1, persons due for one: 1" in " ".join(out.split())


@pytest.mark.filterwarnings("always::maskkit.exceptions.SinkWarning")
def test_a_sink_that_is_away_is_told_and_the_command_succeeds(capsys, video, model):
    url = "webhook:http://user:Geheim@127.0.0.1:9/Geheim"
    code, out, err = run(capsys, "watch", video, "--model", model, "-f", "json", "--sink", url, "--flush-timeout", "0")
    assert code == 0
    assert json.loads(out)["n_persons"] == 1
    assert "sink webhook http://127.0.0.1:9: 5 of 5 events were lost: 5 not confirmed in time" in err
    assert "Geheim" not in out + err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sink", "pigeon:home"], "sink 'pigeon' is unknown; installed: jsonl, mqtt, webhook"),
        (
            ["--sink", "webhook"],
            "sink 'webhook' needs an argument (missing a required argument: 'url'); want 'webhook:URL'.",
        ),
        (["--sink", "webhook:ftp://host/Geheim"], "its address is not a URL that can be posted to"),
        (["--sink", "jsonl:notes.txt"], "notes.txt: holds something else than events"),
        (["--snapshot"], "--snapshot is for alarms, of which there are none; pass --alarm-after 3."),
        (["--alarm-every", "5"], "--alarm-every is for alarms, of which there are none; pass --alarm-after 3."),
    ],
)
def test_a_sink_that_cannot_be_used_ends_the_command_before_the_video(
    capsys, video, model, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    code, out, err = run(capsys, "watch", video, "--model", model, "--out", "out.mp4", *options)
    assert (code, out) == (1, "")
    assert message in err
    assert "Geheim" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_json_has_the_minutes(capsys, video, model):
    code, out, _ = run(capsys, "watch", video, "--model", model, "--format", "json", "--frame-step", "5")
    assert code == 0
    found = json.loads(out)
    assert (found["n_read"], found["n_processed"], found["n_skipped"], found["n_dropped"]) == (20, 4, 16, 0)
    assert [minute["n_persons"] for minute in found["minutes"]] == [1]


def test_realtime_drops_or_handles_every_frame(capsys, video, model):
    code, out, _ = run(capsys, "watch", video, "--model", model, "--realtime", "--format", "json")
    assert code == 0
    found = json.loads(out)
    assert found["n_read"] == 20 == found["n_processed"] + found["n_dropped"]


def test_an_interrupt_closes_the_files_and_prints_the_totals(capsys, video, model, tmp_path, monkeypatch):
    next_step = Watch.__next__

    def interrupt(watching):
        step = next_step(watching)
        if step.photo is not None and step.frames.n_processed == 5:
            signal.raise_signal(signal.SIGINT)
        return step

    monkeypatch.setattr(Watch, "__next__", interrupt)
    before = signal.getsignal(signal.SIGINT)
    code, out, err = run(capsys, "watch", video, "--model", model, "--out", tmp_path / "out.mp4", "--format", "json")
    assert code == 130
    assert json.loads(out)["reason"] == "stopped"
    assert "Traceback" not in err
    assert len(read_video(tmp_path / "out.mp4")[0]) == 5
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_stops_at_once():
    class Deaf:
        def stop(self):
            pass

    # A shell lets what it starts in the background ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_signal(Deaf()):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_mistakes_are_one_line(capsys, video, model, tmp_path):
    code, _, err = run(capsys, "watch", tmp_path / "none.mp4", "--model", model)
    assert code == 1
    assert err.startswith(f"maskkit: error: {tmp_path / 'none.mp4'}: no such file")
    assert err.count("\n") == 1
    code, _, err = run(capsys, "watch", video, "--model", model, "--ffmpeg-option", "nonsense")
    assert (code, "want NAME=VALUE" in err) == (2, True)
    code, _, err = run(capsys, "watch", video, "--model", model, "--no-blur")
    assert code == 2
    code, _, err = run(capsys, "watch", video, "--model", model, "--detector-size", "640")
    assert (code, "the detector whole does not scale images" in " ".join(err.split())) == (2, True)


def test_a_lost_stream_is_reported(capsys, savable, model, tmp_path):
    from tests.video.test_streams import serve

    stream = write_video(tmp_path / "camera.ts", 20, codec="mpeg2video").read_bytes()
    with serve(stream) as url:
        code, out, err = run(capsys, "watch", url, "--model", model, "--reconnect-timeout", "0.1", "-f", "jsonl")
    assert code == 1
    assert json.loads(out.splitlines()[-1])["reason"] == "reconnect_timeout"
    assert "maskkit: the stream stopped" in err
    assert "did not come back; pass a longer --reconnect-timeout" in err


@pytest.mark.parametrize("events", ["out.mp4", "deep/../out.mp4", "link.jsonl"])
def test_events_are_not_written_into_the_video(capsys, video, model, tmp_path, monkeypatch, events):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.jsonl").symlink_to("out.mp4")
    code, _, err = run(capsys, "watch", video, "--model", model, "--out", "out.mp4", "--events", events)
    assert code == 2
    assert "is the video that --out writes" in " ".join(err.split())
