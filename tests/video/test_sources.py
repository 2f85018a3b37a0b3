"""What is no video, and options that FFmpeg does not know, are errors with a way out."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import av

import maskkit
from maskkit.exceptions import VideoError
from tests.cli.conftest import run
from tests.video.videos import Script, ScriptedClassifier, moving_square, write_video

NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def watch(source, **options):
    return maskkit.watch(ScriptedClassifier(Script([])), source, **options)


def read_all(source, **options):
    with watch(source, **options) as watching:
        return list(watching)[-1].frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("sources") / "walk.mp4", 8)


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "gif", "tiff", "webp", "avif", "ico", "ppm", "mp4"])
def test_photo_is_not_watched(tmp_path, ending):
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(NOISE).save(path, format="JPEG" if ending == "mp4" else None)
    with pytest.raises(VideoError, match=r"photo\.\w+: holds a single picture, not a video; use maskkit predict"):
        watch(path)


def test_animations_and_sequences_of_photos_are_videos(tmp_path):
    frames = [Image.fromarray(picture) for picture in moving_square(6, (96, 64))]
    for name in ("moving.gif", "moving.png", "moving.avif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=40)
        assert read_all(tmp_path / name).n_processed >= 5
    jpegs = tmp_path / "camera.mjpeg"
    for index, frame in enumerate(frames):
        frame.save(tmp_path / f"{index:04}.jpg")
        with jpegs.open("ab") as file:
            file.write((tmp_path / f"{index:04}.jpg").read_bytes())
    assert read_all(jpegs).n_processed == 6
    assert read_all(tmp_path / "%04d.jpg").n_processed == 6
    assert read_all(tmp_path / "%04d.jpg", ffmpeg_options={"framerate": "5"}).n_processed == 6


def test_folder_of_frames_is_an_error_with_two_ways_out(tmp_path):
    with pytest.raises(VideoError, match=r"is a folder, not a video; use maskkit predict .*%04d\.png"):
        watch(tmp_path)
    with pytest.raises(VideoError, match=r"%04d\.png: is not a video that FFmpeg can read"):
        watch(tmp_path / "%04d.png")


def write_sound(path, cover):
    """Write sound, with a picture of its cover if asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=44100, layout="mono")
        if cover:
            picture = container.add_stream("mjpeg")
            picture.width, picture.height, picture.pix_fmt = 96, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(NOISE, format="rgb24")))
            container.mux(picture.encode())
        for index in range(10):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1152), dtype=np.float32), format="fltp", layout="mono")
            sound.rate, sound.pts = 44100, index * 1152
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("cover", [False, True])
def test_music_is_no_video(tmp_path, cover):
    with pytest.raises(VideoError, match=f"contains no video, only audio{' and a cover picture' if cover else ''}"):
        watch(write_sound(tmp_path / "song.mp3", cover))


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        ({"nosuch": "1"}, "nosuch"),
        ({"probesize": "5000000", "video_sise": "640x480", "fps": "5"}, "fps, video_sise"),
        ({"video_size": "640x480"}, "video_size"),  # of cameras, not of files
        ({"user_agent": "me"}, "user_agent"),  # of the network
    ],
)
def test_options_that_ffmpeg_does_not_use_are_named(video, options, unknown):
    with pytest.raises(VideoError, match=rf"walk\.mp4: has no use for the FFmpeg option {unknown}; check the spelling"):
        watch(video, ffmpeg_options=options)


@pytest.mark.parametrize(
    "options",
    [
        {"probesize": "5000000"},
        {"probesize": 5_000_000},
        {"ignore_editlist": "1"},
        {"follow": "0"},
        {"threads": "1", "flags2": "+ignorecrop"},
    ],
)
def test_options_of_reading_and_decoding_are_used(video, options):
    assert read_all(video, ffmpeg_options=options).n_processed == 8


def test_options_of_decoding_have_an_effect(tmp_path):
    path = write_video(tmp_path / "long.mp4", 30)
    assert read_all(path, ffmpeg_options={"skip_frame": "nokey"}).n_processed < 5


def test_value_that_ffmpeg_refuses_names_the_option(video):
    with pytest.raises(VideoError, match=r"cannot be opened \(Invalid argument\); check the values of .* probesize"):
        watch(video, ffmpeg_options={"probesize": "much"})


def test_size_of_frames_is_bounded(video, monkeypatch):
    monkeypatch.setattr("maskkit._video.sources.MAX_FRAME_PIXELS", 96 * 64 - 1)
    with pytest.raises(VideoError, match=r"states frames of 96 x 64 px; want 6,143 pixels at most"):
        watch(video)


def test_frames_that_grow_in_the_middle_are_failed_frames(tmp_path, monkeypatch):
    small, large = (write_video(tmp_path / f"{side}.mjpeg", 4, size=(side, side), codec="mjpeg") for side in (32, 64))
    both = tmp_path / "both.mjpeg"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setattr("maskkit._video.sources.MAX_FRAME_PIXELS", 48 * 48)
    frames = read_all(both)
    assert (frames.n_processed, frames.n_failed) == (4, 4)


def test_video_without_a_readable_frame_is_an_error_of_the_command(capsys, savable, tmp_path):
    savable.save(tmp_path / "model")
    frames = [Image.fromarray(picture) for picture in moving_square(3, (96, 64))]
    path = tmp_path / "moving.mjpeg"
    for frame in frames:
        frame.save(tmp_path / "one.jpg")
        with path.open("ab") as file:
            file.write((tmp_path / "one.jpg").read_bytes()[:300])
    code, _, err = run(capsys, "watch", path, "--model", tmp_path / "model")
    assert code == 1
    assert "moving.mjpeg: " in err
    assert err.count("\n") == 1


def test_option_without_a_value_is_not_repeated(capsys, video):
    code, _, err = run(capsys, "watch", video, "--ffmpeg-option", "Authorization: Basic c2VjcmV0")
    assert code == 2
    assert "want NAME=VALUE" in err
    assert "c2VjcmV0" not in err
