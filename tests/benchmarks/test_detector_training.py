"""Training views of the bundled detector, and its checks."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.detector.check import check_close_ups, check_crowd, check_photos
from benchmarks.detector.labels import Example, match
from benchmarks.detector.views import SIDE_PX, View, Views, _mirror, _mosaic, _rotate, make_targets
from maskkit.datasets import AnnotatedPhoto
from maskkit.testing import FixedDetector, make_faces


def make_view(*boxes, side=SIDE_PX):
    boxes = np.float32(boxes).reshape(-1, 4)
    landmarks = boxes[:, None, :2] + np.float32([[5, 5], [15, 5], [10, 10], [6, 15], [14, 15]])
    return View(np.zeros((side, side, 3), np.float32), boxes, landmarks, np.zeros((0, 4), np.float32))


def peaks(view):
    heat, weights, *_ = make_targets(view, 0.1)
    return [(int(x), int(y)) for y, x in np.argwhere((heat == 1) & (weights == 1))]


def test_a_face_has_its_peak_and_box_in_the_cell_of_its_center():
    view = make_view([100, 200, 140, 260])
    assert peaks(view) == [(30, 57)]
    _, _, sizes, offsets, points, box_weights, _ = make_targets(view, 0.1)
    np.testing.assert_allclose(np.exp(sizes[:, 57, 30]) * 4, [60, 40], rtol=1e-5)
    np.testing.assert_allclose((np.array([57, 30]) + offsets[:, 57, 30] + 0.5) * 4, [230, 120], atol=1e-3)
    np.testing.assert_allclose(points[:2, 57, 30], [5 / 60, 5 / 40], rtol=1e-5)
    assert box_weights[57, 30] == 1


def test_nothing_is_learned_where_a_face_may_be_or_is_cut():
    view = make_view([-30, 100, 10, 140])  # three quarters of it are outside
    view.ignored = np.float32([[200, 200, 240, 240]])
    heat, weights, *_ = make_targets(view, 0.1)
    assert heat.max() == 0
    assert (weights[50:60, 50:60] == 0).all()
    assert weights[25:35, :2].max() == 0
    assert weights.mean() > 0.9


def test_a_face_beyond_the_edge_is_not_turned_into_the_corner():
    view = make_view([370, 172, 410, 212], [180, 172, 204, 212])
    turned = _rotate(view, 30)
    assert len(turned.boxes) == 1
    assert len(turned.ignored) == 1
    assert peaks(turned) == [(48, 48)]


def test_mirroring_swaps_left_and_right():
    view = make_view([100, 200, 140, 260])
    mirrored = _mirror(view)
    np.testing.assert_allclose(mirrored.boxes, [[SIDE_PX - 140, 200, SIDE_PX - 100, 260]])
    assert mirrored.landmarks[0, 0, 0] < mirrored.landmarks[0, 1, 0]


def test_a_mosaic_keeps_the_faces_of_its_windows():
    half = SIDE_PX // 2
    mosaic = _mosaic([make_view([20, 20, 60, 60], side=half) for _ in range(4)], 2)
    assert sorted(map(tuple, mosaic.boxes[:, :2])) == [
        (20, 20),
        (20, 20 + half),
        (20 + half, 20),
        (20 + half, 20 + half),
    ]


def test_views_have_faces_and_are_the_same_for_a_seed():
    (face,), _ = make_faces(1, size_px=120, random_state=0)
    box = np.float32([[20, 20, 100, 110]])
    landmarks = np.float32([[[40, 50], [80, 50], [60, 70], [45, 90], [75, 90]]])
    example = Example(face, box, landmarks, np.array([True]), np.zeros((0, 4), np.float32))
    arguments = ([[example], [example]], (0.5, 0.5), (False, True))
    views = [Views(*arguments, faceless=0.1, textures=0.2, peak=0.1, seed=(0, 1)) for _ in range(2)]
    first, second = (view.draw(np.random.default_rng(3)) for view in views)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    rng = np.random.default_rng(0)
    drawn = [views[0].draw(rng) for _ in range(30)]
    assert all(view.pixels.shape == (SIDE_PX, SIDE_PX, 3) for view in drawn)
    assert all(view.pixels.min() >= 0 and view.pixels.max() <= 255 for view in drawn)
    assert 10 < sum(bool(peaks(view)) for view in drawn) < 30  # textures have none


def test_each_box_is_matched_once():
    boxes = np.float32([[0, 0, 10, 10], [100, 0, 110, 10]])
    found = np.float32([[1, 0, 11, 10], [0, 0, 10, 10]])
    assert match(boxes, found).tolist() == [1, -1]
    assert match(boxes, np.zeros((0, 4), np.float32)).tolist() == [-1, -1]


@pytest.fixture
def photos(tmp_path):
    faces, _ = make_faces(3, size_px=80, random_state=0)
    annotated = []
    for index, pixels in enumerate(faces):
        path = tmp_path / f"{index}.png"
        Image.fromarray(pixels).save(path)
        annotated.append(AnnotatedPhoto(path, np.float32([[10, 10, 50, 50]]), np.array(["with_mask"])))
    return annotated


def test_checks_count_by_hand(photos):
    detector = FixedDetector([[10, 10, 50, 50], [60, 60, 70, 70]])
    recalls, precision = check_photos(detector, photos)
    assert [estimate.n for estimate in recalls] == [0, 0, 3]
    assert (recalls[2].value, precision.value) == (1.0, 0.5)
    assert check_close_ups(detector, [photo.path for photo in photos]) == (0, 3)
    assert check_close_ups(FixedDetector([]), [photo.path for photo in photos]) == (3, 0)
    assert check_crowd(detector, photos, n_columns=2) == (2, 1, 3)
