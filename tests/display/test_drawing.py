"""Labels are readable and cover no face; blurred faces are gone."""

import numpy as np

from maskkit import FaceResult, PhotoResult

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
