"""Events of a watched video reach its sinks, and a broken sink harms no video."""

import io
import itertools
import threading

import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import numpy as np
from PIL import Image

import maskkit
from maskkit.exceptions import OutputError, PluginError, SinkWarning
from tests.sinks.receivers import Receiver, listen
from tests.video.videos import Script, ScriptedClassifier, face, walk, write_video


class Keeper:
    """A sink that keeps events."""

    def __init__(self):
        self.calls = []
        self.go_on = threading.Event()
        self.go_on.set()

    def open(self):
        self.calls.append("open")

    def send(self, event):
        self.go_on.wait(30)
        self.calls.append(event)

    def close(self):
        self.calls.append("close")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "walk.mp4", 30)


def watch(video, frames, **options):
    return maskkit.watch(ScriptedClassifier(Script(*frames)), video, **options)


KINDS = ["appeared", "decided", "alarm", "left", "alarm_over", "minute", "end"]


def test_sinks_get_all_events_without_a_context_manager_too(video):
    sink = Keeper()
    steps = list(watch(video, walk(30, 0.1), alarm_after_s=0.5, sinks=sink))
    events = [event for step in steps for event in step.events]
    assert [event.event for event in events] == KINDS
    assert sink.calls == ["open", *events, "close"]
    alarm = events[2].to_dict()
    assert (alarm["person"], alarm["decision"], alarm["n_persons"]) == (1, "without_mask", 1)
    assert alarm["duration_s"] >= 0.5
    assert alarm["time_s"] == pytest.approx(alarm["duration_s"] + events[1].time_s, abs=0.002)
    assert (events[-1].details["n_alarms"], events[-1].details["n_alarm_persons"]) == (1, 1)


def test_there_is_no_alarm_unless_it_is_asked_for(video):
    events = [event for step in watch(video, walk(30, 0.1)) for event in step.events]
    assert [event.event for event in events] == [kind for kind in KINDS if "alarm" not in kind]
    assert "n_alarms" not in events[-1].details


def test_an_alarm_has_a_snapshot_with_blurred_faces_if_asked_for(tmp_path):
    pictures = list(np.random.default_rng(0).integers(0, 2, (10, 360, 1920, 1), dtype=np.uint8) * [[[255, 255, 255]]])
    path = write_video(tmp_path / "noise.mp4", size=(1920, 360), pictures=[p.astype(np.uint8) for p in pictures])
    frames = [[face((900, 90, 1080, 270), 0.1)]] * 10
    for options, has_one in (({"snapshot": True, "blur": False}, True), ({}, False)):
        events = [event for step in watch(path, frames, alarm_after_s=0, **options) for event in step.events]
        assert [event.event for event in events if event.snapshot] == ["alarm"] * has_one
        assert not [name for event in events for name in event.to_dict() if "snapshot" in name]
        if has_one:
            (jpeg,) = [event.snapshot for event in events if event.snapshot]
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (1280, 240)
        assert not picture.getexif()
        gray = np.asarray(picture.convert("L"), dtype=float)
    # Inside the frame that is drawn around the face, and far from it.
    assert gray[80:160, 620:700].std() < 15
    assert gray[80:160, 100:180].std() > 60
    assert len(jpeg) < 400_000


def test_a_webhook_gets_them_in_order(video):
    receiver = Receiver()
    with listen(receiver) as port:
        watching = watch(video, walk(30, 0.1), alarm_after_s=0.5, sinks=f"webhook:http://127.0.0.1:{port}/")
        events = [event.to_dict() for step in watching for event in step.events]
    assert receiver.accepted == events
    assert len(set(receiver.ids)) == len(KINDS)


def test_a_slow_sink_delays_no_frame_and_what_it_misses_is_told(video):
    sink = Keeper()
    sink.go_on.clear()
    with watch(video, walk(30, 0.1), sinks=[sink], flush_timeout_s=0) as watching:
        steps = list(itertools.islice(watching, 31))
        assert steps[-1].events[-1].event == "end"
        with pytest.warns(SinkWarning, match="sink Keeper: 5 of 5 events were lost: 5 not confirmed in time"):
            next(watching, None)
    sink.go_on.set()


def test_leaving_early_sends_what_waits_and_closes_the_sink(video):
    sink = Keeper()
    with watch(video, walk(30, 0.1), sinks=[sink]) as watching:
        for step in watching:
            if step.events:
                break
    assert sink.calls == ["open", *step.events, "close"]


def test_a_second_interrupt_waits_for_no_sink(video):
    sink = Keeper()
    sink.go_on.clear()

    def interrupted():
        with watch(video, walk(30, 0.1), sinks=[sink], flush_timeout_s=1000) as watching:
            for step in watching:
                if step.events:
                    raise KeyboardInterrupt

    with pytest.warns(SinkWarning, match="not confirmed in time"), pytest.raises(KeyboardInterrupt):
        interrupted()
    sink.go_on.set()


def test_sinks_are_closed_if_the_video_cannot_be_written(video, tmp_path):
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    sink = Keeper()
    with pytest.raises(OutputError):
        watch(video, walk(3), sinks=[sink], save=tmp_path / "mine.mp4")
    assert sink.calls == ["open", "close"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sinks": "pigeon"}, PluginError, "sink 'pigeon' is unknown"),
        ({"sinks": [Keeper]}, PluginError, r"sink is the class Keeper; want .* instance with send\(\)"),
        ({"alarm_after_s": -1}, ValueError, "alarm_after_s"),
        ({"alarm_after_s": 1, "alarm_every_s": float("nan")}, ValueError, "alarm_every_s"),
        ({"snapshot": True}, ValueError, "snapshot=True is for alarms, of which there are none; pass alarm_after_s=3"),
        ({"alarm_every_s": 5}, ValueError, "alarm_every_s=5 .* is for alarms, of which there are none"),
        ({"flush_timeout_s": -1}, ValueError, "flush_timeout_s"),
    ],
)
def test_mistakes_are_errors_before_the_video(video, options, error, message):
    with pytest.raises(error, match=message):
        watch(video, walk(3), **options)


def test_a_model_that_knows_nobody_without_a_mask_cannot_alarm(video):
    classifier = ScriptedClassifier(Script([]))
    classifier.classes_ = ["cat", "dog"]
    with pytest.raises(ValueError, match=r"classes of the model are 'cat', 'dog'; want a model with one such as"):
        maskkit.watch(classifier, video, alarm_after_s=3)
