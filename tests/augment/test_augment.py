"""Augmented faces are still pictures of the face, decided by the generator alone."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from maskkit import FaceEmbedder
from maskkit.testing import TinyBackbone, make_faces
from tests.helpers import augment_face


def test_equal_generators_give_equal_pictures(faces):
    image = faces[0][0]
    first, second = (augment_face(image, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, augment_face(image, np.random.default_rng(6)))


@pytest.mark.parametrize("shape", [(200, 300, 3), (1000, 500, 3), (1, 1, 3), (3, 40, 3)])
def test_any_size_keeps_its_proportions_and_at_most_192_px(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for seed in range(30):
        changed = augment_face(image, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert max(changed.shape) <= 192
        share = min(1, 192 / max(shape[:2]))
        assert abs(changed.shape[0] - shape[0] * share) <= 1
        assert abs(changed.shape[1] - shape[1] * share) <= 1


def test_input_is_left_alone(faces):
    image = faces[0][0]
    before = image.copy()
    augment_face(image, np.random.default_rng(0))
    np.testing.assert_array_equal(image, before)


def test_mean_of_many_views_still_shows_the_mask():
    masked, bare = make_faces(2, size_px=96, random_state=1)[0]

    def mean_view(image):
        views = [augment_face(image, np.random.default_rng(seed)) for seed in range(60)]
        return np.mean([np.asarray(Image.fromarray(view).resize((32, 32))) for view in views], axis=0)

    def blueness(view):
        lower = view[18:26, 12:20]
        return (lower[..., 2] - lower[..., 0]).mean()

    assert blueness(mean_view(masked)) > blueness(mean_view(bare)) + 40


def test_small_faces_lose_detail_in_some_views():
    stripes = np.zeros((96, 96, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    contrasts = [augment_face(stripes, np.random.default_rng(seed)).std() for seed in range(40)]
    assert min(contrasts) < 0.25 * max(contrasts)


def test_the_random_numbers_of_a_copy_are_those_of_its_content(faces, tmp_path):
    path = tmp_path / "face.png"
    Image.fromarray(faces[0][0]).save(path)
    extractor = FaceEmbedder(TinyBackbone(), weights=None, cache=None).fit(faces[0])._extractor()
    seed = list(hashlib.sha256(path.read_bytes()).hexdigest().encode())
    copy = augment_face(faces[0][0], np.random.default_rng(seed))
    wanted = extractor.backbone.preprocess.resize(copy)
    np.testing.assert_array_equal(extractor.load_view(path, 0, is_copy=True), wanted)
