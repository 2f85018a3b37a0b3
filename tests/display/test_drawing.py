"""Labels are readable and cover no face; blurred faces are gone."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from maskkit import FaceResult, PhotoResult
from tests.conftest import fuzzing

WHITE = np.full((200, 400, 3), 255, dtype=np.uint8)


def make_photo(boxes, labels, picture=WHITE):
    faces = [
        FaceResult(box, 1.0, label, probability, {"with_mask": 0.5, "without_mask": 0.5})
        for box, (label, probability) in zip(boxes, labels, strict=True)
    ]
    return PhotoResult(tuple(faces), picture, name="photo", size=picture.shape[1::-1], model="m", detector="d")


def test_a_label_covers_no_other_face():
    boxes = [(100, 100, 160, 180), (104, 40, 164, 98)]  # one right above the other
    drawn = np.asarray(make_photo(boxes, [("with_mask", 0.9), ("without_mask", 0.8)]).draw())
    inside = drawn[44:94, 108:160]
    assert (inside == 255).all()


def test_a_label_with_room_names_the_class():
    alone = make_photo([(20, 60, 60, 120)], [("with_mask", 0.9)]).draw()
    crowded = make_photo([(20, 60, 60, 120), (62, 10, 300, 120)], [("with_mask", 0.9)] * 2).draw()
    tag_width = [(np.asarray(drawn)[50, :60] != 255).any(axis=-1).sum() for drawn in (alone, crowded)]
    assert tag_width[0] > tag_width[1] > 0
    corner = np.asarray(crowded)[-6:, :6]
    assert (corner != 255).any()  # the legend


def test_blur_leaves_few_values():
    noise = np.random.default_rng(0).integers(0, 256, (140, 100, 3), dtype=np.uint8)
    blurred = np.asarray(make_photo([(20, 60, 80, 120)], [("with_mask", 0.9)], noise).draw(blur=True))
    inside = blurred[61:119, 21:79]  # without the outline of the box
    assert np.diff(inside.astype(int), axis=1).std() < 0.1 * np.diff(noise.astype(int), axis=1).std()
    np.testing.assert_array_equal(blurred[:40], noise[:40])
    np.testing.assert_array_equal(blurred[130:], noise[130:])


# Tags, as they are drawn


@pytest.fixture
def tags_of(monkeypatch):
    """Return a function that draws a photo and returns its tags: those of the faces in their order, then the legend."""

    def tags_of(size, boxes, labels):
        drawn = []
        monkeypatch.setattr("maskkit._display.drawing.draw_tag", lambda _, tag: drawn.append(tag))
        white = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
        assert make_photo(boxes, labels, white).draw().size == size
        monkeypatch.undo()
        return drawn[: len(boxes)], drawn[len(boxes) :]

    return tags_of


def overlap(first, second):
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


MANY = [("with_mask", 0.94), ("without_mask", 0.8), ("uncertain", 0.5)]


def make_crowd(size, n_columns, n_rows, side, gap=2):
    """Boxes side by side, and their labels."""
    step = side + gap
    boxes = [(x * step, y * step, x * step + side, y * step + side) for y in range(n_rows) for x in range(n_columns)]
    assert boxes[-1][2] <= size[0]
    assert boxes[-1][3] <= size[1]
    return size, boxes, [MANY[index % 3] for index in range(len(boxes))]


def test_faces_are_numbered_from_1(tags_of):
    tags, _ = tags_of((1000, 700), [(100, 100, 200, 220), (500, 100, 600, 220)], MANY[:2])
    assert [tag.text for tag in tags] == ["1: with_mask 94%", "2: without_mask 80%"]
    (tag,), _ = tags_of((1000, 700), [(100, 100, 200, 220)], MANY[:1])
    assert tag.text == "with_mask 94%"


@pytest.mark.parametrize("crowd", [((3000, 1400), 24, 10, 40), ((400, 300), 10, 8, 30), ((6000, 300), 100, 3, 30, 20)])
def test_every_face_of_a_crowd_has_its_number_and_stays_visible(crowd, tags_of):
    size, boxes, labels = make_crowd(*crowd)
    tags, legend = tags_of(size, boxes, labels)
    assert [tag.text.partition(":")[0] for tag in tags] == [str(number) for number in range(1, len(boxes) + 1)]
    for tag, box in zip(tags, boxes, strict=True):
        hidden = [other for other in boxes if other != box and overlap(tag.box, other)]
        assert not hidden or tag.text.isdecimal()
        assert tag.box[3] - tag.box[1] <= 16
    assert not any(overlap(entry.box, box) for entry in legend for box in boxes)


@pytest.mark.parametrize("box", [(0, 0, 150, 200), (850, 0, 1000, 200), (0, 520, 150, 700), (850, 520, 1000, 700)])
def test_label_of_a_face_at_the_edge_is_whole_and_inside(box, tags_of):
    (tag,), legend = tags_of((1000, 700), [box], [("without_mask", 0.94)])
    assert tag.text == "without_mask 94%"
    assert legend == []
    assert tag.box[0] >= 0
    assert tag.box[1] >= 0
    assert tag.box[2] <= 1000
    assert tag.box[3] <= 700
    assert not overlap(tag.box, box)


def test_letters_and_lines_follow_the_shorter_side(tags_of):
    box = [(100, 100, 400, 340)]
    (wide,), _ = tags_of((12288, 366), box, MANY[:1])
    (square,), _ = tags_of((366, 366), [(100, 100, 360, 340)], MANY[:1])
    assert wide.letters_px == square.letters_px == 10
    (small_face,), _ = tags_of((4000, 3000), [(100, 100, 140, 140)], MANY[:1])
    (large_face,), _ = tags_of((4000, 3000), [(100, 100, 900, 900)], MANY[:1])
    assert small_face.letters_px == 12
    assert large_face.letters_px == 79
    white = np.full((3000, 4000, 3), 255, dtype=np.uint8)
    drawn = np.asarray(make_photo([(100, 100, 120, 120)], MANY[:1], white).draw())
    assert (drawn[102:118, 102:118] == 255).all()  # the line is fine: the face is no solid block


def test_legend_takes_a_small_part_of_the_picture(tags_of):
    for size in ((64, 64), (300, 200), (12288, 366), (366, 4000)):
        _, legend = tags_of(size, [(2, 2, 20, 20), (22, 2, 40, 20), (42, 2, 60, 20)], MANY)
        if legend:
            assert max(tag.box[2] for tag in legend) - min(tag.box[0] for tag in legend) <= size[0] / 2
            assert sum(tag.box[3] - tag.box[1] for tag in legend) <= size[1] / 4
    assert legend


sides = st.integers(12, 500)


@given(sides, sides, st.data())
@fuzzing(30)
def test_any_boxes_in_any_picture_are_drawn(width, height, data):
    corner = st.tuples(st.integers(0, width - 2), st.integers(0, height - 2))
    corners = data.draw(st.lists(corner, min_size=1, max_size=12))
    boxes = [(x, y, data.draw(st.integers(x + 1, width)), data.draw(st.integers(y + 1, height))) for x, y in corners]
    labels = [data.draw(st.sampled_from([*MANY, ("x" * 200, 0.5), ("маска 😷", 0.5)])) for _ in boxes]
    white = np.full((height, width, 3), 255, dtype=np.uint8)
    drawn = np.asarray(make_photo(boxes, labels, white).draw())
    assert drawn.shape == white.shape
    for left, top, right, bottom in boxes:
        others = [box for box in boxes if box != (left, top, right, bottom)]
        if min(right - left, bottom - top) >= 48 and not any(
            overlap((left, top, right, bottom), box) for box in others
        ):
            inside = drawn[top:bottom, left:right]
            assert (inside == 255).all(axis=-1).mean() > 0.5
