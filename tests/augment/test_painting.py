"""Painted masks: where they are, what decides them, and which pictures they can be painted on."""

import numpy as np
import pytest

from maskkit.augment import KINDS, OCCLUDERS, TEMPLATE, WORN, _occluders, find_landmarks, paint_mask, paint_occluder
from maskkit.detectors import Faces
from maskkit.testing import FixedDetector

FACE = np.full((128, 128, 3), 180, dtype=np.uint8)


def changed_rows(painted, image=FACE):
    """Return where the picture changed, row by row, as a share of the width."""
    return (np.abs(painted.astype(int) - image).max(axis=2) > 6).mean(axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_mask_covers_nose_and_mouth_and_leaves_the_eyes(kind, seed):
    rows = changed_rows(paint_mask(FACE, kind=kind, random_state=seed))
    eyes, mouth = (round(128 * TEMPLATE[index, 1]) for index in (0, 3))
    assert rows[: eyes - 8].max() == 0
    assert rows[eyes + 22 : mouth + 8].min() > 0.4


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_worn_incorrectly_leaves_the_nose_bare(seed):
    nose, mouth = (round(128 * TEMPLATE[index, 1]) for index in (2, 3))
    middle = slice(54, 74)
    right, under_nose, under_chin = (
        changed_rows(paint_mask(FACE, worn=worn, kind="cloth", random_state=seed)[:, middle], FACE[:, middle])
        for worn in WORN
    )
    assert right[nose - 6] > 0.5
    assert under_nose[nose - 6] < 0.2
    assert under_nose[mouth + 6] > 0.5
    assert under_chin[mouth] < 0.2


HEADGEAR = ("hood", "helmet")


@pytest.mark.parametrize("kind", sorted(set(OCCLUDERS) - {*HEADGEAR, "shield"}))
def test_what_is_no_mask_changes_the_lower_face_only(kind):
    rows = np.max([changed_rows(paint_occluder(FACE, kind=kind, random_state=seed)) for seed in range(8)], axis=0)
    assert rows.max() > 0
    assert rows[:30].max() == 0


@pytest.mark.parametrize("kind", HEADGEAR)
def test_headgear_lies_around_the_face(kind):
    for seed in range(8):
        changed = (paint_occluder(FACE, kind=kind, random_state=seed) != FACE).any(axis=2)
        assert changed[:20].any()
        # From the nose to the mouth.
        assert changed[77:100, 50:78].mean() < 0.1


def test_a_face_stays_visible_behind_a_shield():
    for seed in range(8):
        change = np.abs(paint_occluder(FACE, kind="shield", random_state=seed).astype(int) - FACE)
        assert change[:30].any()
        assert 0 < np.median(change[50:100, 40:90]) < 40


def test_every_occluder_is_painted_at_random(monkeypatch):
    drawn = set()

    def note(kind, paint):
        return lambda *given: drawn.add(kind) or paint(*given)

    monkeypatch.setattr(_occluders, "_PAINTERS", {kind: note(kind, of) for kind, of in _occluders._PAINTERS.items()})
    for seed in range(100):
        paint_occluder(FACE[::8, ::8], random_state=seed)
    assert drawn == {*OCCLUDERS}


@pytest.mark.parametrize("paint", [paint_mask, paint_occluder])
def test_equal_numbers_give_equal_pictures(paint):
    first, again, other = (paint(FACE, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    generator = np.random.default_rng(1)
    np.testing.assert_array_equal(paint(FACE, random_state=generator), first)
    assert not np.array_equal(paint(FACE, random_state=generator), first)


@pytest.mark.parametrize("shape", [(8, 8), (10, 31), (300, 120), (900, 1400)])
@pytest.mark.parametrize("paint", [paint_mask, paint_occluder])
def test_pictures_of_any_size_keep_it(paint, shape):
    image = np.full((*shape, 3), 120, dtype=np.uint8)
    image.setflags(write=False)
    for seed in range(6):
        painted = paint(image, random_state=seed)
        assert painted.shape == image.shape
        assert painted.dtype == np.uint8


def test_a_mask_turns_with_the_face():
    level = TEMPLATE * 128
    centre = np.float32([64, 64])
    turn = np.float32([[0, -1], [1, 0]])  # a quarter to the right
    lying = (level - centre) @ turn.T + centre
    upright = paint_mask(FACE, level, kind="cloth", random_state=3)
    turned = paint_mask(FACE, lying, kind="cloth", random_state=3)
    apart = np.abs(np.rot90(upright, -1).astype(int) - turned).mean()
    assert apart < 0.1 * np.abs(upright.astype(int) - FACE).mean() + 3


def test_only_the_surroundings_of_a_face_change():
    photo = np.full((400, 600, 3), 180, dtype=np.uint8)
    painted = paint_mask(photo, TEMPLATE * 60 + np.float32([500, 40]), random_state=0)
    changed = np.argwhere((painted != photo).any(axis=2))
    assert changed[:, 1].min() > 470
    assert changed[:, 0].max() < 130


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match="kind='veil' is unknown; use 'surgical', 'cloth', 'respirator'"):
        paint_mask(FACE, kind="veil")
    with pytest.raises(ValueError, match="worn='left' is unknown"):
        paint_mask(FACE, worn="left")
    with pytest.raises(ValueError, match="kind='dog' is unknown; use 'hand'"):
        paint_occluder(FACE, kind="dog")
    with pytest.raises(ValueError, match=r"landmarks have shape \(4, 2\); want five finite points"):
        paint_mask(FACE, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="landmarks lie outside the image of 128 x 128 px"):
        paint_mask(FACE, TEMPLATE * 128 + 5000)


def test_landmarks_are_those_of_the_largest_face():
    class TwoFaces:
        def detect(self, image):
            points = np.stack([np.full((5, 2), 40), np.full((5, 2), 70)]).astype(np.float32)
            return Faces(np.float32([[0, 0, 10, 10], [20, 20, 90, 90]]), np.float32([0.9, 0.8]), points)

    found = find_landmarks([FACE], TwoFaces())[0]
    np.testing.assert_array_equal(found, np.full((5, 2), 70 - 32))  # a quarter of padding taken off


def test_without_a_face_landmarks_are_the_usual_ones():
    image = np.zeros((60, 40, 3), dtype=np.uint8)
    np.testing.assert_allclose(find_landmarks([image], FixedDetector([]))[0], TEMPLATE * np.float32([40, 60]))
