"""Labels are readable and cover no face; blurred faces are gone."""

import numpy as np
from PIL import Image

from maskkit._display.drawing import blur_faces, draw_faces
from maskkit._display.tables import format_percent

CLASSES = ["with_mask", "without_mask"]


def test_a_label_covers_no_other_face():
    picture = Image.new("RGB", (400, 200), "white")
    boxes = [(100, 100, 160, 180), (104, 40, 164, 98)]  # one right above the other
    drawn = np.asarray(draw_faces(picture, boxes, [("with_mask", 0.9), ("without_mask", 0.8)], CLASSES))
    inside = drawn[44:94, 108:160]
    assert (inside == 255).all()


def test_a_label_with_room_names_the_class():
    picture = Image.new("RGB", (400, 200), "white")
    alone = draw_faces(picture, [(20, 60, 60, 120)], [("with_mask", 0.9)], CLASSES)
    crowded = draw_faces(
        picture, [(20, 60, 60, 120), (62, 10, 300, 120)], [("with_mask", 0.9), ("with_mask", 0.9)], CLASSES
    )
    tag_width = [(np.asarray(drawn)[50, :60] != 255).any(axis=-1).sum() for drawn in (alone, crowded)]
    assert tag_width[0] > tag_width[1] > 0
    corner = np.asarray(crowded)[-6:, :6]
    assert (corner != 255).any()  # the legend


def test_blur_leaves_few_values():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    blurred = np.asarray(blur_faces(Image.fromarray(noise), [(20, 20, 80, 80)]))
    assert np.diff(blurred[20:80, 20:80].astype(int), axis=1).std() < 0.1 * np.diff(noise.astype(int), axis=1).std()
    np.testing.assert_array_equal(blurred[:10], noise[:10])


def test_nearly_sure_is_not_called_sure():
    assert [format_percent(value) for value in (0.5, 0.994, 0.996, 1.0)] == ["50%", "99%", ">99%", "100%"]
