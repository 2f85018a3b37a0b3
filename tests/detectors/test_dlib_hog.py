import numpy as np
import pytest
from PIL import Image

pytest.importorskip("dlib")

from maskkit.detectors import DlibHogDetector


def test_portrait_has_exactly_the_one_face_above_a_low_threshold(portrait):
    faces = DlibHogDetector(threshold=0.2).detect(portrait)
    np.testing.assert_allclose(faces.boxes_xyxy, [[175, 76, 266, 167]], atol=8)
    assert faces.landmarks is None


def test_threshold_chooses_and_leaves_scores_alone(portrait):
    few = DlibHogDetector(threshold=0.2).detect(portrait)
    many = DlibHogDetector(threshold=-0.5).detect(portrait)
    assert len(many) > len(few) == 1
    np.testing.assert_array_equal(many.scores[0], few.scores[0])
    np.testing.assert_array_equal(many.boxes_xyxy[0], few.boxes_xyxy[0])


def test_box_counts_pixels_of_the_given_image_however_often_it_is_doubled(portrait):
    once, twice = (DlibHogDetector(upsample=upsample, threshold=0.2).detect(portrait) for upsample in (0, 2))
    np.testing.assert_allclose(once.boxes_xyxy, twice.boxes_xyxy, atol=12)


def test_right_and_bottom_are_exclusive(portrait):
    left, top, right, bottom = DlibHogDetector(upsample=0).detect(portrait).boxes_xyxy[0]
    # dlib's window is square, and its own inclusive corners are one less apart.
    assert (right - left, bottom - top) == (88, 88)


def test_small_face_needs_upsampling(portrait):
    small = np.asarray(Image.fromarray(portrait).resize((300, 300)))
    assert len(DlibHogDetector(upsample=0, threshold=0.2).detect(small)) == 0
    assert len(DlibHogDetector(upsample=1, threshold=0.2).detect(small)) == 1


def test_negative_upsample_is_refused(portrait):
    with pytest.raises(ValueError, match="upsample == -1, must be >= 0"):
        DlibHogDetector(upsample=-1).detect(portrait)
