"""Timestamps of files: times increase, and nothing grows with a number that a file states."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import av

import maskkit
from maskkit._video import clock
from tests.conftest import fuzzing
from tests.video.videos import Script, ScriptedClassifier, moving_square, walk

NAN, INF = float("nan"), float("inf")


def read_clock(stamps, rate=25):
    """Return the times and the jumps of frames with these timestamps."""
    reader = clock.StreamClock(SimpleNamespace(average_rate=rate, guessed_rate=rate))
    read = [(reader.read(SimpleNamespace(time=stamp)), reader.jump_s) for stamp in stamps]
    return [time_s for time_s, _ in read], [jump_s for _, jump_s in read]


@pytest.mark.parametrize(
    ("stamps", "expected", "n_jumps"),
    [
        ([5.0, 5.04, 5.08], [0, 0.04, 0.08], 0),
        ([-9.0, -8.9, -8.5], [0, 0.1, 0.5], 0),  # negative, and uneven
        ([None, None, 0.0, 0.04], [0, 0.04, 0.08, 0.12], 0),
        ([0.0, None, NAN, 0.12, INF, 0.2], [0, 0.04, 0.08, 0.12, 0.16, 0.2], 0),
        ([0.0, 0.04, 0.04, 0.08, 0.12], [0, 0.04, 0.06, 0.08, 0.12], 0),  # one is repeated
        ([0.0, 0.08, 0.04, 0.12], [0, 0.08, 0.1, 0.12], 0),  # one is out of order
        ([3.0] * 5, [0, 0.02, 0.06, 0.1, 0.14], 0),
        ([0.0, 30.0, 60.0], [0, 30, 60], 0),  # a pause
        ([0.0, 0.04, 47722.0, 47722.04], [0, 0.04, 0.08, 0.12], 1),
        ([1e6, 1e6 + 0.04, 0.0, 0.04], [0, 0.04, 0.08, 0.12], 1),
        ([0.0, 1e300, 0.0], [0, 0.04, 0.08], 2),
    ],
)  # fmt: skip
def test_times_follow_the_timestamps_except_over_a_jump(stamps, expected, n_jumps):
    times, jumps = read_clock(stamps)
    assert times == pytest.approx(expected)
    assert sum(jump is not None for jump in jumps) == n_jumps


@pytest.mark.parametrize("rate", [None, 0, -25, NAN, INF, Fraction(1, 10**9), Fraction(10**9), 10**400])
def test_absurd_frame_rates_are_not_followed(rate):
    times, _ = read_clock([None] * 11, rate)
    assert 0.01 <= times[-1] <= 10.001


@given(st.lists(st.none() | st.floats() | st.floats(-100, 100), min_size=1), st.none() | st.floats() | st.fractions())
@fuzzing(100)
def test_times_increase_by_at_most_a_pause(stamps, rate):
    times, jumps = read_clock(stamps, rate)
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert all(0 < step <= clock.MAX_GAP_S + 1 for step in steps)
    assert all(jump is None or jump > clock.MAX_GAP_S or jump < -clock.MAX_BACK_S for jump in jumps)


def write_stamped(path, stamps_s, **settings):
    """Write a video whose frames have these timestamps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for stamp_s, picture in zip(stamps_s, moving_square(len(stamps_s), (96, 64)), strict=True):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = round(stamp_s * 1000)
                container.mux(packet)
    return path


@pytest.mark.parametrize("realtime", [False, True])
@pytest.mark.parametrize("leap_s", [100.0, 47_722.0, 3e9])
def test_leap_of_the_timestamps_is_a_break(tmp_path, leap_s, realtime):
    stamps = [index / 25 for index in range(8)] + [leap_s + index / 25 for index in range(8)]
    path = write_stamped(tmp_path / "leap.mkv", stamps)
    # In real time, the first frames may be dropped while the next ones are read, but not the break.
    script = Script(*walk(16))
    watching = maskkit.watch(ScriptedClassifier(script), path, min_hits=1, realtime=realtime, save=tmp_path / "out.mp4")
    events = [event.to_dict() for step in watching for event in step.events]
    (jump,) = [event for event in events if event["event"] == "time_jump"]
    assert jump["jump_s"] == pytest.approx(leap_s - 7 / 25, abs=0.01)
    minutes = [event for event in events if event["event"] == "minute"]
    assert len(minutes) == 1
    assert events[-1]["time_s"] == pytest.approx(15 / 25, abs=0.01)
    if not realtime:
        # The person before the break and the one after it need not be the same.
        assert [event["person"] for event in events if event["event"] == "left"] == [1, 2]
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.duration < 1_000_000
