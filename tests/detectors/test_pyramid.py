"""Scales and tiles in which a picture is searched, and merging of the faces that are found in them."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from maskkit.detectors import Faces
from tests.conftest import fuzzing
from tests.helpers import choose_long_sides, cut_tiles, merge_faces

SIZES = [
    (1, 1),
    (3, 3),
    (48, 64),
    (256, 256),
    (600, 800),
    (3000, 4000),
    (4500, 6000),
    (366, 12288),
    (12288, 366),
    (20, 20000),
    (20000, 20),
    (1, 20000),
    (20000, 1),
]


def check_long_sides(height_px, width_px, max_pixels):
    """Check that no look is too large, that a small look is there, and that looks do not jump."""
    long_side = max(height_px, width_px)
    sides = choose_long_sides(height_px, width_px, max_pixels)
    assert sides == sorted(set(sides))
    assert all(isinstance(side, int) and side >= 1 for side in sides)
    for side in sides:
        # Before sides are rounded to whole pixels.
        assert (side - 0.5) ** 2 * min(height_px, width_px) / long_side <= max_pixels
    # The largest face that the picture can contain has at most 240 px in the small look.
    largest_face = min(long_side, 1.5 * min(height_px, width_px))
    assert sides[0] / long_side * largest_face <= 241
    return sides


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("max_pixels", [1024, 500_000, 5_000_000])
def test_no_look_is_too_large_and_a_small_one_is_always_there(size, max_pixels):
    assert 1 <= len(check_long_sides(*size, max_pixels)) <= 6


@pytest.mark.parametrize("size", SIZES)
def test_tiles_of_a_look_have_few_more_pixels_than_allowed(size):
    """Tiles overlap, and their sides are rounded."""
    image = np.zeros((*size, 3), np.uint8)
    for long_side_px in choose_long_sides(*size, 5_000_000):
        n_pixels = sum(tile.pixels.shape[0] * tile.pixels.shape[1] for tile in cut_tiles(image, long_side_px))
        assert n_pixels <= 2.25 * 5_000_000


@fuzzing(200)
@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1024, 20_000_000))
def test_fuzz_looks_at_pictures_of_any_size_are_bounded(height_px, width_px, max_pixels):
    check_long_sides(height_px, width_px, max_pixels)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((600, 800), [240, 768]), ((800, 600), [240, 768]), ((200, 200), [240, 600]), ((800, 800), [240, 768])],
)
def test_usual_photos_get_two_looks(size, expected):
    assert choose_long_sides(*size, 5_000_000) == expected


def test_detail_gets_further_looks_up_to_the_limit():
    assert choose_long_sides(1500, 2000, 5_000_000) == [240, 768, 2000]
    *few, last = choose_long_sides(3000, 4000, 5_000_000)
    assert few == [240, 768]
    assert last == round(768 * 3.2)
    assert last**2 * 3 / 4 < 5_000_000 < (1.25 * last) ** 2 * 3 / 4
    assert choose_long_sides(3000, 4000, 400_000) == [240, 730]


def test_a_panorama_is_enlarged_by_its_short_side():
    sides = choose_long_sides(366, 12288, 5_000_000)
    # A face as high as the panorama has 160 px or more, though the panorama is 34 times as wide.
    assert sides[0] * 366 / 12288 == pytest.approx(160, abs=1)
    assert sides[-1] >= 12288


@pytest.mark.parametrize("size", [(366, 12288), (12288, 366), (20, 20000), (1, 20000), (3000, 4000), (1, 1)])
def test_tiles_cover_the_picture_and_overlap(size):
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    for long_side_px in choose_long_sides(height, width, 5_000_000):
        tiles = list(cut_tiles(image, long_side_px))
        # Left, top, right and bottom of each tile in pixels of the image.
        boxes = np.array(
            [[*tile.offset_xy, *(tile.offset_xy + tile.pixels.shape[1::-1] / tile.scale_xy)] for tile in tiles]
        )
        scale_xy = tiles[0].scale_xy
        assert all(tile.pixels.dtype == np.uint8 and max(tile.pixels.shape) <= 1280 for tile in tiles)
        for axis, length in enumerate((width, height)):
            intervals = np.unique(boxes[:, [axis, axis + 2]].round(3), axis=0)
            assert intervals[0, 0] == 0
            assert intervals[-1, 1] == pytest.approx(length, abs=float(0.51 / scale_xy[axis]))
            overlaps_px = (intervals[:-1, 1] - intervals[1:, 0]) * scale_xy[axis]
            assert (overlaps_px >= 255).all()
        n_across, n_down = (len(np.unique(boxes[:, axis].round(3))) for axis in (0, 1))
        assert len(tiles) == n_across * n_down


@pytest.mark.parametrize("long_side_px", [700, 2000, 2582, 4000])
def test_pixels_of_tiles_map_back_to_their_places(long_side_px):
    image = np.zeros((3000, 4000, 3), np.uint8)
    rng = np.random.default_rng(0)
    corners = [
        (x + int(rng.integers(100)), y + int(rng.integers(100))) for x in range(0, 3900, 400) for y in (0, 1300, 2800)
    ]
    for left, top in corners:
        image[top : top + 40, left : left + 40] = 255
    n_seen = dict.fromkeys(corners, 0)
    for tile in cut_tiles(image, long_side_px):
        height, width = tile.pixels.shape[:2]
        for left, top in corners:
            # The square with some black around it, in pixels of the tile.
            low = np.floor((np.array([left, top]) - 20 - tile.offset_xy) * tile.scale_xy).astype(int)
            high = np.ceil((np.array([left, top]) + 60 - tile.offset_xy) * tile.scale_xy).astype(int)
            inside = (low >= 0).all() and (high <= (width, height)).all()
            if not inside:
                continue
            part = tile.pixels[low[1] : high[1], low[0] : high[0], 0].astype(float)
            rows, columns = np.indices(part.shape) + 0.5
            center = np.array([(columns * part).sum(), (rows * part).sum()]) / part.sum() + low
            np.testing.assert_allclose(
                center / tile.scale_xy + tile.offset_xy, [left + 20, top + 20], atol=0.6 / tile.scale_xy.min()
            )
            n_seen[left, top] += 1
    # Squares at the edge of the image have no black around them.
    assert all(n_seen[left, top] for left, top in corners if left >= 20 and 20 <= top <= 2940)


def make_part(boxes_xyxy, scores):
    boxes = np.float32(boxes_xyxy).reshape(-1, 4)
    landmarks = np.repeat(boxes[:, None, :2] + 1, 5, axis=1)
    return Faces(boxes, np.float32(scores), landmarks)


NO_FACES = make_part([], [])


def test_a_face_of_two_looks_is_one_box():
    first, second = make_part([[10, 10, 50, 60]], [0.8]), make_part([[12, 9, 51, 62]], [0.9])
    merged = merge_faces([(first, 0.5), (second, 1.0)], 0.3)
    np.testing.assert_array_equal(merged.boxes_xyxy, second.boxes_xyxy)
    np.testing.assert_array_equal(merged.scores, second.scores)
    np.testing.assert_array_equal(merged.landmarks, second.landmarks)


def test_neighbors_stay_two_in_order_of_their_scores():
    first = make_part([[0, 0, 40, 50]], [0.6])
    second = make_part([[38, 0, 78, 50], [200, 0, 240, 50]], [0.9, 0.7])
    merged = merge_faces([(first, 0.5), (NO_FACES, 1.0), (second, 2.0)], 0.3)
    np.testing.assert_allclose(merged.scores, [0.9, 0.7, 0.6])
    assert merged.boxes_xyxy[:, 0].tolist() == [38, 200, 0]
    np.testing.assert_array_equal(merged.landmarks[:, 0], merged.boxes_xyxy[:, :2] + 1)


def test_a_part_of_a_face_is_dropped():
    """The eyes and the nose of a face that is far too large for a look resemble a face."""
    face, nose = [0, 0, 1000, 1000], [300, 300, 600, 800]
    merged = merge_faces([(make_part([face], [0.7]), 0.24), (make_part([nose], [0.9]), 1.0)], 0.3)
    assert merged.boxes_xyxy.tolist() == [face]
    # In a look in which the smaller box has the right size, the higher score counts.
    merged = merge_faces([(make_part([face], [0.7]), 0.24), (make_part([nose], [0.9]), 0.24)], 0.3)
    assert merged.boxes_xyxy.tolist() == [nose]


@pytest.mark.parametrize(("max_iou", "n_expected"), [(0.2, 1), (0.3, 2), (1.0, 2)])
def test_boxes_may_overlap_as_much_as_requested(max_iou, n_expected):
    part = make_part([[0, 0, 100, 100], [55, 0, 155, 100]], [0.9, 0.8])  # they overlap by 0.29
    assert len(merge_faces([(part, 1.0)], max_iou)) == n_expected


def test_nothing_found_is_no_face():
    merged = merge_faces([(NO_FACES, 0.5), (NO_FACES, 1.0)], 0.3)
    assert merged.boxes_xyxy.shape == (0, 4)
    assert merged.scores.shape == (0,)
    assert merged.landmarks.shape == (0, 5, 2)
