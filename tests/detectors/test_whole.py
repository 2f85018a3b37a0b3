import numpy as np

from maskkit.detectors import WholeImageDetector


def test_the_one_box_is_the_image():
    faces = WholeImageDetector().detect(np.zeros((30, 50, 3), np.uint8))
    np.testing.assert_array_equal(faces.boxes_xyxy, np.float32([[0, 0, 50, 30]]))
    np.testing.assert_array_equal(faces.scores, np.float32([1]))
    assert faces.landmarks is None
