"""Frames are searched as players show them: rotated, mirrored, and with square pixels."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'maskkit[watch]'")
pytest.importorskip("trackers", reason="trackers is not installed: pip install 'maskkit[watch]'")

import av

import maskkit
from tests.video.videos import Script, ScriptedClassifier, face, read_video, write_video

# The upper left corner is white.
CORNER = np.zeros((64, 96, 3), dtype=np.uint8)
CORNER[:16, :48] = 255


def read_first(path, **options):
    with maskkit.watch(ScriptedClassifier(Script([])), path, **options) as watching:
        return next(watching).image


@pytest.mark.parametrize("vflip", [False, True])
@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_frames_are_rotated_and_mirrored(tmp_path, ending, rotation, hflip, vflip):
    path = tmp_path / f"phone.{ending}"
    write_video(path, pictures=[CORNER] * 2, rotation=rotation, hflip=hflip, vflip=vflip)
    expected = np.rot90(CORNER, rotation // 90)
    expected = expected[:, ::-1] if hflip else expected
    expected = expected[::-1] if vflip else expected
    image = read_first(path)
    assert image.shape == expected.shape
    assert ((image > 128) == (expected > 128)).mean() > 0.99


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        ("4/3", (128, 64)),
        ("16/11", (140, 64)),
        ("3/4", (96, 85)),
        ("1/2", (96, 128)),
        ("1/1", (96, 64)),
        ("0/1", (96, 64)),
        ("60000/1", (96, 64)),  # stated by a file that is wrong
        ("1/60000", (96, 64)),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_pixels_are_made_square(tmp_path, ending, aspect, size):
    path = write_video(tmp_path / f"disc.{ending}", pictures=[CORNER] * 2, aspect=Fraction(aspect))
    image = read_first(path)
    assert image.shape == (size[1], size[0], 3)
    white = image[..., 0] > 128
    assert (white.any(axis=0).sum(), white.any(axis=1).sum()) == (
        pytest.approx(size[0] / 2, abs=2),
        pytest.approx(size[1] / 4, abs=2),
    )


def test_pixels_are_made_square_before_the_frame_is_rotated(tmp_path):
    path = write_video(tmp_path / "phone.mp4", pictures=[CORNER] * 2, rotation=90, aspect=Fraction(2))
    assert read_first(path).shape == (192, 64, 3)


def test_saved_video_has_the_displayed_size(tmp_path):
    path = write_video(tmp_path / "disc.mkv", pictures=[CORNER] * 3, aspect=Fraction(4, 3))
    script = Script([face((100, 10, 120, 30), 0.9)])
    list(maskkit.watch(ScriptedClassifier(script), path, save=tmp_path / "out.mp4"))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)
    assert read_video(tmp_path / "out.mp4")[0][0].shape == (64, 128, 3)


@pytest.mark.parametrize("matrix", [[0] * 9, [2**31 - 1] * 9, [-(2**31)] * 9])
def test_absurd_display_matrix_keeps_the_size(tmp_path, matrix):
    path = write_video(tmp_path / "odd.mkv", pictures=[CORNER] * 2, matrix=matrix)
    assert sorted(read_first(path).shape) == [3, 64, 96]
