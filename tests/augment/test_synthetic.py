"""Whose faces are painted, and what they are called then."""

import numpy as np
import pytest
from PIL import Image

from maskkit._training.training_images import TrainingImages
from maskkit.augment import TEMPLATE
from maskkit.augment._random_painting import RandomPainting
from maskkit.detectors import Faces
from maskkit.testing import make_faces
from tests.helpers import FaceFinder, Preprocess, World, load_image

FACE = np.full((64, 64, 3), 150, dtype=np.uint8)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["WithMask", "WithoutMask"], (1, 0, None)),
        (["mask_weared_incorrect", "with_mask", "without_mask"], (2, 1, 0)),
        (["bare", "masked"], (0, 1, None)),
    ],
)
def test_known_words_make_a_painter(classes, expected):
    painter = RandomPainting.for_classes(classes)
    assert (painter.unmasked, painter.masked, painter.incorrect) == expected


@pytest.mark.parametrize(
    "classes", [["a", "b"], [0, 1], ["mask", "cat"], ["mask", "masked", "bare"], ["mask", "incorrect"]]
)
def test_other_classes_are_left_alone(classes):
    assert RandomPainting.for_classes(classes) is None


def test_bare_faces_are_painted_and_called_what_they_show():
    painter = RandomPainting(unmasked=0, masked=1, incorrect=2)
    shown = {0: 0, 1: 0, 2: 0}
    for seed in range(300):
        picture, target = painter.paint(FACE, TEMPLATE * 64, 0, np.random.default_rng(seed))
        shown[target] += 1
        assert target == 0 or not np.array_equal(picture, FACE)
    assert min(shown.values()) > 10
    assert shown[0] > shown[1] > shown[2]


def test_what_is_before_masked_faces_leaves_them_masked():
    painter = RandomPainting(unmasked=0, masked=1, incorrect=2)
    views = [painter.paint(FACE, TEMPLATE * 64, 1, np.random.default_rng(seed)) for seed in range(100)]
    assert {target for _, target in views} == {1}
    n_left = sum(picture is FACE for picture, _ in views)
    assert 50 < n_left < 90


def test_masks_worn_incorrectly_are_left_alone():
    picture, target = RandomPainting(unmasked=0, masked=1, incorrect=2).paint(
        FACE, TEMPLATE * 64, 2, np.random.default_rng(0)
    )
    assert picture is FACE
    assert target == 2


def test_two_classes_get_no_third():
    painter = RandomPainting(unmasked=1, masked=0)
    targets = {painter.paint(FACE, TEMPLATE * 64, 1, np.random.default_rng(seed))[1] for seed in range(200)}
    assert targets == {0, 1}


class FiveLandmarks:
    def detect(self, image):
        height, width = image.shape[:2]
        return Faces(np.float32([[0, 0, width, height]]), np.float32([1]), (TEMPLATE * [width, height])[None])


class LowerRight:
    """Finds a small face at the same place of the picture, whatever its size."""

    def detect(self, image):
        height, width = image.shape[:2]
        box = np.float32([0.6 * width, 0.6 * height, 0.9 * width, 0.9 * height])
        return Faces(box[None], np.float32([1]), (box[:2] + TEMPLATE * 0.3 * [width, height])[None])


PREPROCESS = Preprocess(32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def make_images(sources, targets, *, detector=None, find_face=False, augment=None):
    """Build training images of unmasked (0) and masked faces (1)."""
    detector = detector or FiveLandmarks()
    return TrainingImages(
        sources,
        targets,
        2,
        PREPROCESS,
        FaceFinder(detector, detector),
        find_face=find_face,
        augment=augment,
        painter=RandomPainting(unmasked=0, masked=1),
        seed=3,
    )


def make_painted_images(n_faces):
    """Return the classes of drawn faces, and training images that are painted and not augmented."""
    faces, labels = make_faces(n_faces)
    targets = (labels == "with_mask").astype(np.int64)
    return targets, make_images(faces, targets)


def test_views_change_from_epoch_to_epoch_and_not_from_run_to_run():
    faces, labels = make_faces(6)
    targets = (labels == "with_mask").astype(np.int64)

    def load(epoch, augment=lambda image, rng: image):
        images = make_images(faces, targets, augment=augment)
        return [images.load(row, epoch) for row in range(6)]

    first, again, later = load(0), load(0), load(1)
    assert all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, later, strict=True))
    plain = load(None)
    assert [target for _, target in plain] == targets.tolist()
    np.testing.assert_array_equal(plain[0][0], PREPROCESS.load(load_image(faces[0])))


def test_masked_faces_are_painted_too_and_stay_masked():
    targets, images = make_painted_images(20)
    masked = np.flatnonzero(targets == 1).tolist()
    shown = [images.load(row, epoch) for row in masked for epoch in range(5)]
    plain = [images.load(row, None)[0] for row in masked for _ in range(5)]
    changed = [not np.array_equal(view, before) for (view, _), before in zip(shown, plain, strict=True)]
    assert {target for _, target in shown} == {1}
    assert 0.1 < np.mean(changed) < 0.6


def test_looking_ahead_changes_nothing_in_a_large_jpeg(tmp_path):
    """Boxes and landmarks hold for the size at which the image is opened, which of a large JPEG is not its own."""
    files = [tmp_path / "bare.jpg", tmp_path / "masked.jpg"]
    for file, face in zip(files, make_faces(2)[0], strict=True):
        Image.fromarray(face).resize((2000, 2000)).save(file)

    def load(*, is_looked_for):
        images = make_images(files, np.array([0, 1]), detector=LowerRight(), find_face=True)
        if is_looked_for:
            images.class_factors(np.arange(2), np.ones(2, dtype=np.float32), World())
        return images.load(0, None)[0]

    np.testing.assert_array_equal(load(is_looked_for=True), load(is_looked_for=False))


def darken(image, rng):
    image //= 2  # in place
    return image


def test_augmentation_in_place_leaves_the_arrays_of_the_user_unchanged():
    faces = make_faces(4)[0]
    before = np.array(faces)
    images = make_images(faces, np.array([0, 1, 0, 1]), augment=darken)
    for row in range(4):
        images.load(row, 0)
    np.testing.assert_array_equal(faces, before)


@pytest.mark.parametrize(("max_bytes", "n_decoded"), [(2**30, 4), (FACE.nbytes, 1 + 3 * 3), (0, 4 * 3)])
def test_files_are_decoded_once_if_there_is_memory(tmp_path, monkeypatch, max_bytes, n_decoded):
    files = [tmp_path / f"{index}.png" for index in range(4)]
    for file, face in zip(files, make_faces(4)[0], strict=True):
        Image.fromarray(face).save(file)
    decode, decoded = Preprocess.decode, []
    monkeypatch.setattr(Preprocess, "decode", lambda self, source, name: decoded.append(source) or decode(self, source))

    def load_all(n_bytes):
        monkeypatch.setattr("maskkit._training.training_images._MAX_KEPT_BYTES", n_bytes)
        images = make_images(files, np.array([0, 1, 0, 1]), augment=darken)
        return [images.load(row, epoch)[0] for epoch in (0, 1, None) for row in range(4)]

    got = load_all(max_bytes)
    assert len(decoded) == n_decoded
    np.testing.assert_array_equal(got, load_all(0))


def test_painting_leaves_each_class_its_weight():
    _, images = make_painted_images(40)
    weights = np.ones(40, dtype=np.float32)
    factors = images.class_factors(np.arange(40), weights, World())
    shown = np.concatenate([[images.load(row, epoch)[1] for row in range(40)] for epoch in range(50)])
    assert np.mean(shown == 1) > 0.58
    np.testing.assert_allclose(factors[shown].sum() / len(shown), 1, atol=0.01)
    assert np.average(shown, weights=factors[shown]) == pytest.approx(0.5, abs=0.02)


def test_nothing_is_balanced_where_nothing_is_painted():
    np.testing.assert_array_equal(RandomPainting(unmasked=0, masked=1).balance(np.array([3.0, 5.0]), 0.0), [1, 1])
