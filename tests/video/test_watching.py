"""Each track counts as one person, numbers of frames add up, and failures are reported."""

import dataclasses
import io
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import av

import maskkit
from maskkit.detectors import Faces
from maskkit.exceptions import OutputError, PluginError, VideoError
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.video.videos import Script, ScriptedClassifier, face, read_video, walk, write_video


def watch_file(path, script, *, near_script=None, max_lost_s=0.5, **options):
    classifier = ScriptedClassifier(script, near_script=near_script)
    return maskkit.watch(classifier, path, max_lost_s=max_lost_s, **options)


def frames_of(step):
    """Return the numbers of frames read, processed, dropped and failed; none is skipped."""
    counts = step.frames
    assert counts.n_skipped == 0
    return counts.n_read, counts.n_processed, counts.n_dropped, counts.n_failed


def events_of(watching):
    return [event.to_dict() for step in watching for event in step.events]


def kinds(events):
    return [event["event"] for event in events]


def test_videos_that_are_watched_at_once_share_a_model(tmp_path):
    """Each gets the events that it would get alone."""
    model = make_classifier(detector="whole", precision="float32").fit(*make_faces(20, random_state=0))
    faces = [np.asarray(Image.fromarray(face).resize((96, 96))) for face in make_faces(2, random_state=1)[0]]
    paths = [
        write_video(tmp_path / f"{index}.mp4", size=(96, 96), pictures=[face] * 8) for index, face in enumerate(faces)
    ]

    def watch(path):
        events = events_of(maskkit.watch(model, path))
        return [(event["event"], event["time_s"], event.get("probability")) for event in events]

    alone = [watch(path) for path in paths]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(watch, paths)) == alone
    assert alone[0] != alone[1]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "walk.mp4", 30)


def test_person_counts_once_though_the_detector_flickers(video):
    frames = [faces if index % 3 else [] for index, faces in enumerate(walk(30))]
    events = events_of(watch_file(video, Script(*frames)))
    assert kinds(events) == ["appeared", "decided", "left", "minute", "end"]
    assert events[-1]["persons"] == {"with_mask": 1}
    assert events[2]["n_frames"] == pytest.approx(20, abs=1)
    assert events[2]["last_s"] == pytest.approx(29 / 25)


def test_two_persons_are_two(video):
    frames = [a + b for a, b in zip(walk(30, 0.95), walk(30, 0.05, y=40), strict=True)]
    steps = list(watch_file(video, Script(*frames)))
    assert steps[-1].events[-1].details["persons"] == {"with_mask": 1, "without_mask": 1}
    assert {person.number for person in steps[20].persons} == {1, 2}


def test_persons_have_the_same_number_in_events_and_pictures(video, monkeypatch):
    """One who comes back is number 2, also where nobody else is in the picture."""
    steps = list(watch_file(video, Script(*walk(8), *[[]] * 14, *walk(8)), max_lost_s=0.3))
    drawn = []
    monkeypatch.setattr("maskkit._display.drawing.draw_tag", lambda _, tag: drawn.append(tag.text))
    (last,) = [step for step in steps if step.persons][-1:]
    last.draw()
    assert last.persons[0].number == 2
    assert drawn[0].startswith("2")


def test_person_lost_longer_than_max_lost_s_counts_again(video):
    frames = [*walk(8), *[[]] * 14, *walk(8)]
    events = events_of(watch_file(video, Script(*frames), max_lost_s=0.3))
    assert [event["person"] for event in events if event["event"] == "appeared"] == [1, 2]
    left = next(event for event in events if event["event"] == "left")
    assert left["last_s"] == pytest.approx(7 / 25)
    assert left["time_s"] > left["last_s"] + 0.3 - 0.001


def test_face_in_too_few_frames_is_no_person(video):
    events = events_of(watch_file(video, Script(*walk(5), []), min_hits=6))
    assert kinds(events) == ["minute", "end"]
    assert events[-1]["n_persons"] == 0


def test_person_whose_class_changes_is_counted_by_the_last(video):
    frames = [*walk(10, 0.95), *[[face((20, 10, 40, 30), 0.05)]] * 200]
    events = events_of(watch_file(video, Script(*frames)))
    changes = [event for event in events if event["event"] == "changed"]
    # Between the two classes the decision is uncertain for a while.
    assert [(event["previous"], event["decision"]) for event in changes] == [
        ("with_mask", "uncertain"),
        ("uncertain", "without_mask"),
    ]
    assert events[-1]["persons"] == {"without_mask": 1}


def test_numbers_of_frames_add_up(video):
    step = list(watch_file(video, Script([])))[-1]
    assert frames_of(step) == (30, 30, 0, 0)


def test_frames_skipped_by_frame_step_are_not_dropped(video):
    script = Script([])
    step = list(watch_file(video, script, frame_step=4))[-1]
    assert script.n_calls == 8
    assert dataclasses.asdict(step.frames) == {
        "n_read": 30, "n_processed": 8, "n_searched": 8, "n_dropped": 0, "n_failed": 0, "n_skipped": 22,
        "last_failure": None,
    }  # fmt: skip


@pytest.mark.parametrize(("max_wait_s", "n_waiting"), [(0.0, 1), (60.0, 8)])
def test_live_video_drops_frames_while_one_is_processed(tmp_path, monkeypatch, max_wait_s, n_waiting):
    monkeypatch.setattr("maskkit._video.readers.MAX_WAIT_S", max_wait_s)
    path = write_video(tmp_path / "quick.mp4", 40, rate=250)
    script, waiting = Script([]), []

    def slow(image):
        # The first frame takes until the video is over, so that all others but the newest few are dropped.
        reader._thread.join()
        waiting.append(len(reader._items))
        return script(image)

    watching = watch_file(path, slow, realtime=True)
    reader = watching._reader
    steps = list(watching)
    # One fewer waits if the video was over before the first frame was taken.
    assert n_waiting - 1 <= waiting[0] <= n_waiting
    assert script.n_calls == waiting[0] + 1
    assert frames_of(steps[-1]) == (40, script.n_calls, 40 - script.n_calls, 0)
    end = steps[-1].events[-1].details
    assert end["n_read"] == end["n_processed"] + end["n_dropped"] + end["n_failed"]
    assert end["max_lag_s"] > 0


def test_frames_between_full_searches_are_searched_near_tracked_faces(video):
    faces = walk(30)
    script, near_script = Script(*faces[::5]), Script(*(faces[index] for index in range(30) if index % 5))
    steps = list(watch_file(video, script, near_script=near_script, search_every_s=0.199))
    assert (script.n_calls, near_script.n_calls) == (6, 24)
    end = steps[-1].events[-1].details
    assert (end["n_processed"], end["n_searched"], end["persons"]) == (30, 6, {"with_mask": 1})
    assert [step.photo[0].box for step in steps[:-1]] == [face.box for (face,) in faces]


def test_person_whom_only_full_searches_find_is_counted_once(video):
    events = events_of(watch_file(video, Script(*walk(30)[::5]), near_script=Script([]), search_every_s=0.199))
    assert kinds(events) == ["appeared", "decided", "left", "minute", "end"]
    assert events[0]["n_frames"] == 3


@pytest.mark.parametrize(
    ("options", "searches_all"),
    [({}, True), ({"realtime": True}, False), ({"save": "out.mp4"}, True), ({"save": "out.mp4", "blur": False}, False)],
)
def test_live_video_is_not_searched_in_full_unless_it_is_blurred(tmp_path, options, searches_all):
    path = write_video(tmp_path / "short.mp4", 6)
    options = {"realtime": bool(options)} | options
    if "save" in options:
        options["save"] = tmp_path / options["save"]
    last = list(watch_file(path, Script([]), near_script=Script([]), **options))[-1].frames
    assert last.n_searched == (last.n_processed if searches_all else 1)


def test_detector_that_cannot_search_near_faces_searches_in_full(tmp_path, video):
    path = write_video(tmp_path / "short.mp4", 6)
    last = list(watch_file(path, Script([]), realtime=True))[-1].frames
    assert last.n_searched == last.n_processed
    with pytest.raises(ValueError, match=r"search_every_s=0\.5 .*: the detector scripted has no method detect_near"):
        watch_file(video, Script([]), search_every_s=0.5)


class SquareDetector:
    """Detects the bright square of `moving_square`."""

    def detect(self, image):
        columns = np.flatnonzero(image[20, :, 0] > 128)
        return Faces(np.array([[columns[0], 10, columns[-1] + 1, 30]]), np.ones(1))

    def detect_near(self, image, boxes_xyxy):
        return self.detect(image)


def test_face_of_a_person_is_not_classified_in_every_frame(video):
    model = make_classifier(detector=SquareDetector()).fit(*make_faces(8, random_state=0))

    def watch(search_every_s):
        photos = [step.photo for step in maskkit.watch(model, video, search_every_s=search_every_s) if step.photo]
        # A face that is not classified again keeps the probabilities.
        return photos, len({id(photo[0].probabilities) for photo in photos})

    photos, n_classified = watch(0.2)
    assert 6 <= n_classified <= 10
    assert len({photo[0].box for photo in photos}) == 30
    assert watch(0)[1] == 30


def test_person_is_classified_less_often_while_the_class_stays(tmp_path):
    path = write_video(tmp_path / "long.mp4", 120)
    faces = [face((20, 10, 40, 30), 0.95 if index < 40 else 0.05) for index in range(120)]
    near_script = Script(*([face] for face in faces[1:]))
    steps = [*watch_file(path, Script([faces[0]]), near_script=near_script, search_every_s=10)][:-1]
    # A face that is not classified again keeps the probabilities.
    classified = [index for index in range(120) if steps[index].photo[0].probabilities is faces[index].probabilities]
    changed = [index for index in range(120) for event in steps[index].events if event.event == "changed"][-1]
    assert classified[:7] == [0, 1, 2, 3, 6, 9, 12]
    gaps = dict(zip(classified, np.diff(classified), strict=False))
    assert {gap for index, gap in gaps.items() if 12 <= index < 30} <= {10, 11}
    # From the first other class until some classifications have agreed with the new decision.
    assert {gap for index, gap in gaps.items() if 40 <= index < changed + 12} == {3}
    assert {gap for index, gap in gaps.items() if index > changed + 15} <= {10, 11}


@pytest.mark.parametrize("max_faces", [None, 1])
def test_new_face_is_blurred_in_the_picture_of_an_alarm(tmp_path, max_faces):
    """Only the full search finds it, which the frame of the alarm would not get without the picture."""
    checks = np.zeros((64, 96, 3), dtype=np.uint8)
    checks[16:48, 32:64] = 255 * (np.indices((32, 32)).sum(axis=0) // 4 % 2)[..., None]
    path = write_video(tmp_path / "checks.mp4", pictures=[checks] * 8)
    old, new = face((0, 0, 10, 10), 0.05), face((32, 16, 64, 48), 0.9)
    script, near_script = Script([old], [old, new]), Script([old])
    watching = watch_file(
        path,
        script,
        near_script=near_script,
        max_faces=max_faces,
        search_every_s=10,
        alarm_after_s=0,
        min_hits=2,
        snapshot=True,
    )
    (alarm,) = [event for step in watching for event in step.events if event.event == "alarm"]
    picture = np.asarray(Image.open(io.BytesIO(alarm.snapshot)))
    assert picture[22:42, 38:58].astype(float).std() < 20


@pytest.mark.parametrize("search_every_s", [0, 10])
def test_faces_that_max_faces_leaves_out_are_blurred(tmp_path, search_every_s):
    """Between full searches, too, though they move, and one is lost."""
    pictures = np.full((12, 64, 96, 3), 64, dtype=np.uint8)
    stripes = 255 * (np.arange(16) // 2 % 2).astype(np.uint8)[:, None]
    boxes = [(4 * index, 40, 4 * index + 16, 56) for index in range(12)]
    for picture, (left, top, right, bottom) in zip(pictures, boxes, strict=True):
        picture[top:bottom, left:right] = stripes
    frames = [[face((60, 0, 90, 30), 0.9), face(box, 0.9)] for box in boxes]
    frames[7].pop()  # The detector loses the face in the 8th frame.
    script, near_script = Script(*frames), Script(*frames[1:])
    watching = watch_file(
        write_video(tmp_path / "stripes.mp4", pictures=pictures, size=(96, 64)),
        script,
        near_script=near_script,
        max_faces=1,
        search_every_s=search_every_s,
    )
    steps = [step for step in watching if step.photo is not None]
    assert near_script.n_calls == (11 if search_every_s else 0)
    for step, (left, top, right, bottom) in zip(steps, boxes, strict=True):
        contrasts = [np.asarray(step.draw(blur=blur))[top:bottom, left:right].std() for blur in (False, True)]
        assert contrasts[0] > 80
        assert contrasts[1] < 40


def test_stopping_a_live_video_drops_the_waiting_frame(tmp_path):
    watching = watch_file(write_video(tmp_path / "quick.mp4", 40, rate=250), Script([]), realtime=True)
    reader = watching._reader
    next(watching)
    reader._thread.join()
    watching.stop()
    (last,) = watching
    assert last.events[-1].details["reason"] == "stopped"
    assert (last.frames.n_read, last.frames.n_processed) == (40, 1)
    assert last.frames.n_dropped == 39


def test_frame_on_which_the_detector_fails_is_counted_and_skipped(video):
    frames = walk(30)
    frames[10] = PluginError("detector nonsense: detect() raised")
    last = list(watch_file(video, Script(*frames)))[-1]
    assert frames_of(last) == (30, 29, 0, 1)
    assert last.events[-1].details["last_failure"] == "detector nonsense: detect() raised"
    assert last.events[-1].details["n_persons"] == 1


def test_detector_that_fails_on_every_frame_is_an_error(video):
    with pytest.raises(PluginError, match="nonsense"):
        list(watch_file(video, Script(PluginError("detector nonsense: detect() raised"))))


def test_detector_that_fails_on_every_frame_of_a_short_video_is_an_error(tmp_path):
    short = write_video(tmp_path / "short.mp4", 4)
    with pytest.raises(PluginError, match="nonsense"):
        list(watch_file(short, Script(PluginError("detector nonsense: detect() raised"))))


def test_frame_that_cannot_be_decoded_is_counted_and_skipped(tmp_path):
    path = write_video(tmp_path / "damaged.mkv", 12, codec="mjpeg")
    data = bytearray(path.read_bytes())
    starts = [index for index in range(len(data)) if data[index : index + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 12
    data[starts[5] : starts[6] - 20] = bytes(starts[6] - 20 - starts[5])
    path.write_bytes(data)
    last = list(watch_file(path, Script([])))[-1]
    assert frames_of(last) == (12, 11, 0, 1)
    assert last.frames.last_failure == "Invalid data found when processing input"


def test_minutes_are_counted_one_by_one(tmp_path):
    path = write_video(tmp_path / "slow.mp4", 201, rate=1, size=(32, 32))
    frames = [[] for _ in range(201)]
    for first, last, left, masked in ((0, 62, 0, 0.9), (40, 58, 50, 0.9), (190, 201, 0, 0.1)):
        for index in range(first, last):
            frames[index].append(face((left, 0, left + 20, 20), masked))
    events = events_of(watch_file(path, Script(*frames), min_hits=1, max_lost_s=2.0))
    minutes = [event for event in events if event["event"] == "minute"]
    assert [(minute["minute"], minute["n_persons"], minute["n_frames"]) for minute in minutes] == [
        (0, 2, 60),
        (1, 1, 60),
        (2, 0, 60),
        (3, 1, 21),
    ]
    assert minutes[-1]["persons"] == {"without_mask": 1}
    assert (minutes[-1]["from_s"], minutes[-1]["to_s"]) == (180.0, 200.0)


def test_saved_video_is_blurred_by_default(tmp_path):
    checks = np.zeros((64, 96, 3), dtype=np.uint8)
    checks[16:48, 32:64] = 255 * (np.indices((32, 32)).sum(axis=0) // 4 % 2)[..., None]
    path = write_video(tmp_path / "checks.mp4", pictures=[checks] * 10)
    # The detector loses the face in the 6th frame.
    frames = [[face((32, 16, 64, 48), 0.9)]] * 5 + [[]] + [[face((32, 16, 64, 48), 0.9)]] * 4

    def contrasts(**options):
        out = tmp_path / "out.mp4"
        out.unlink(missing_ok=True)  # no file is replaced
        list(watch_file(path, Script(*frames), save=out, **options))
        return [picture[22:42, 38:58].astype(float).std() for picture in read_video(out)[0]]

    assert min(contrasts(blur=False)) > 90
    assert len(contrasts()) == 10
    assert max(contrasts()) < 20


def test_saved_video_has_the_times_of_the_processed_frames(video, tmp_path):
    out = tmp_path / "new" / "out.mkv"
    list(watch_file(video, Script(*walk(30)), save=out, frame_step=3))
    pictures, times = read_video(out)
    assert pictures[0].shape == (64, 96, 3)
    assert times == pytest.approx([index / 25 for index in range(0, 30, 3)], abs=0.002)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_interrupted_file_can_be_played(tmp_path, name):
    path = write_video(tmp_path / "long.mp4", 75)
    with watch_file(path, Script([]), save=tmp_path / name) as watching:
        for _ in range(75):
            next(watching)
        # What is on the disk now is left when the machine stops.
        cut = tmp_path / f"cut {name}"
        cut.write_bytes((tmp_path / name).read_bytes())
    assert len(read_video(cut)[0]) >= 50
    assert len(read_video(tmp_path / name)[0]) == 75


def test_leaving_early_closes_the_file(video, tmp_path):
    with watch_file(video, Script(*walk(30)), save=tmp_path / "out.mp4") as watching:
        for _ in range(7):
            next(watching)
    assert len(read_video(tmp_path / "out.mp4")[0]) == 7


def test_drawn_numbers_are_those_of_the_events(video, monkeypatch):
    drawn = []

    def draw(picture, boxes, labels, classes, *, numbers):
        drawn.append(dict(zip(numbers, boxes, strict=True)))
        return picture

    monkeypatch.setattr("maskkit._video.events.draw_faces", draw)
    # The first person leaves, so that the only face of later frames is not number 1.
    frames = [[face((0, 44, 20, 64), 0.9)]] * 10 + [[face((70, 0, 90, 20), 0.9)]] * 20
    for step in watch_file(video, Script(*frames), max_lost_s=0.1):
        if step.photo is not None:
            step.draw()
            assert drawn[-1] == {person.number: person.face.box for person in step.persons}
    assert {number for numbers in drawn for number in numbers} == {1, 2}
    assert set(drawn[-1]) == {2}


def test_odd_sides_can_be_saved(tmp_path):
    path = write_video(tmp_path / "odd.mkv", 3, size=(95, 63), codec="mjpeg")
    list(watch_file(path, Script([]), save=tmp_path / "out.mp4"))
    assert read_video(tmp_path / "out.mp4")[0][0].shape == (64, 96, 3)


def test_frames_are_upright(tmp_path):
    top = np.zeros((64, 96, 3), dtype=np.uint8)
    top[:16] = 255
    path = write_video(tmp_path / "phone.mp4", pictures=[top] * 2, rotation=90)
    step = next(watch_file(path, Script([])))
    assert step.image.shape == (96, 64, 3)
    # Rotated by 90 degrees counterclockwise, the upper edge is on the left.
    assert step.image[:, :12].mean() > 200
    assert step.image[:, 24:].mean() < 20


def test_events_have_one_form(video):
    events = events_of(watch_file(video, Script(*walk(30))))
    for event in events:
        assert event["version"] == 1
        assert list(event)[:4] == ["version", "event", "time_s", "utc"]
        assert event["utc"].endswith("Z")
        assert json.loads(json.dumps(event)) == event
    times = [event["time_s"] for event in events]
    assert times == sorted(times)
    assert Counter(kinds(events))["end"] == 1


def test_watch_of_a_model_yields_persons(video, savable, tmp_path):
    with maskkit.watch(savable, video, save=tmp_path / "out.mp4", frame_step=3) as watching:
        steps = list(watching)
    assert savable.cache == "memory"
    assert not watching.is_live
    # To this model each image is a face.
    assert steps[5].photo[0].box == (0, 0, 96, 64)
    assert steps[5].persons[0].decision in savable.classes_
    assert steps[5].draw().size == (96, 64)
    assert steps[-1].events[-1].details["n_persons"] == 1
    with pytest.raises(ValueError, match="no frame"):
        steps[-1].draw()


def test_errors_say_the_way_out(video, savable, tmp_path, monkeypatch):
    with pytest.raises(VideoError, match=r"nowhere\.mp4: no such file; want a video file, a camera number"):
        maskkit.watch(savable, tmp_path / "nowhere.mp4")
    with pytest.raises(VideoError, match=r"/dev/video99: this camera cannot be opened .*; check that it is connected"):
        maskkit.watch(savable, "/dev/video99")
    text = tmp_path / "letter.mp4"
    text.write_text("Dear Sir or Madam")
    with pytest.raises(VideoError, match=r"letter\.mp4: is not a video that FFmpeg can read"):
        maskkit.watch(savable, text)
    text.write_text("")
    with pytest.raises(VideoError, match=r"letter\.mp4: is empty; choose another file"):
        maskkit.watch(savable, text)
    with pytest.raises(OutputError, match=r"walk\.mp4: exists already, and no file is replaced"):
        maskkit.watch(savable, video, save=video)
    with pytest.raises(VideoError, match=r"want a name that ends in \.mp4 or \.mkv"):
        maskkit.watch(savable, video, save=tmp_path / "out.gif")
    with pytest.raises(ValueError, match="min_hits == 0, must be >= 1"):
        maskkit.watch(savable, video, min_hits=0)
    for name in ("min_hits", "frame_step", "search_every_s", "max_lost_s", "reconnect_timeout_s"):
        with pytest.raises(ValueError, match=f"{name}=nan is not a finite number"):
            maskkit.watch(savable, video, **{name: float("nan")})
    for options, message in (
        ({"blur": "no"}, "blur is 'no'; want True or False"),
        ({"realtime": 1}, "realtime is 1; want True or False"),
        ({"snapshot": "no"}, "snapshot is 'no'; want True or False"),
        ({"ffmpeg_options": "a=b"}, "ffmpeg_options is of type str; want a dict"),
        ({"sinks": 3}, "sinks is of type int; want a name"),
        ({"max_faces": "1"}, "max_faces must be an instance of int"),
    ):
        with pytest.raises(TypeError, match=message):
            maskkit.watch(savable, video, **options)
    for source in (None, True, 1.5, [video]):
        with pytest.raises(TypeError, match=r"source is of type \w+; want a path, a URL or the number of a camera"):
            maskkit.watch(savable, source)
    with pytest.raises(TypeError, match=r"classifier is of type str; want .* MaskClassifier\.from_pretrained\(\)"):
        maskkit.watch("maskkit-lite0", video)
    with pytest.raises(ValueError, match="frame_step=2: is for files without realtime"):
        maskkit.watch(savable, video, frame_step=2, realtime=True)
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(ImportError, match=r"trackers is not installed; install it: pip install 'maskkit\[watch\]'"):
        maskkit.watch(savable, video)


def test_sound_without_pictures_is_no_video(tmp_path, savable):
    path = tmp_path / "speech.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        sound.rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(VideoError, match=r"speech\.wav: contains no video, only audio"):
        maskkit.watch(savable, path)


def test_exception_in_the_reading_thread_is_raised(video):
    class Clockless:
        """A stream whose rate cannot be read."""

        def __init__(self, stream):
            self.stream = stream

        @property
        def average_rate(self):
            raise ZeroDivisionError("no rate")

    with watch_file(video, Script([]), realtime=True) as watching:
        container, stream = watching._reader._opened
        watching._reader._opened = container, Clockless(stream)
        with pytest.raises(ZeroDivisionError, match="no rate"):
            list(watching)


@pytest.mark.parametrize("realtime", [False, True])
def test_failed_reading_is_reported_as_broken(video, realtime):
    class Broken:
        def __init__(self, container):
            self.container = container

        def demux(self, stream):
            yield from list(self.container.demux(stream))[:10]
            raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")

        def close(self):
            self.container.close()

    watching = watch_file(video, Script([]), realtime=realtime)
    reader = watching._reader
    if realtime:
        container, stream = reader._opened
        reader._opened = Broken(container), stream
    else:
        reader.container = Broken(reader.container)
    last = list(watching)[-1]
    assert last.events[-1].details["reason"] == "broken: Invalid data found when processing input"
    assert last.frames.n_read == last.frames.n_processed + last.frames.n_dropped


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_one_error(video, tmp_path, monkeypatch):
    # The device that is always full is no new file, and only a new one is written to.
    monkeypatch.setattr("maskkit._video.writer.check_new", Path)
    monkeypatch.setattr("maskkit._video.writer.create_file", lambda path, content: path)
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    with pytest.raises(VideoError, match=r"out\.mp4: cannot be written \(No space left on device\)"):
        list(watch_file(video, Script(*walk(30)), save=tmp_path / "out.mp4"))


def test_video_without_a_frame_leaves_no_file(video, tmp_path):
    with watch_file(video, Script([]), save=tmp_path / "out.mkv"):
        pass
    assert not (tmp_path / "out.mkv").exists()
