"""A face that is a small part of its picture is cut out; a face crop is left alone."""

import numpy as np
import pytest

from maskkit import FaceEmbedder
from maskkit.testing import FixedDetector, TinyBackbone, make_faces
from tests.helpers import FaceFinder

PERSON = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)


def make_finder(detector):
    """A finder whose fast detector finds nothing."""
    return FaceFinder(detector, FixedDetector([]))


def test_the_largest_small_face_is_found():
    finder = make_finder(FixedDetector([(10, 10, 40, 50), (100, 20, 160, 90)]))
    assert finder.find([PERSON])[0].tolist() == [100, 20, 160, 90]
    assert finder.crop([PERSON])[0].shape[0] == pytest.approx(1.15 * 70, abs=1)


@pytest.mark.parametrize(
    ("image", "boxes"),
    [
        (PERSON, []),
        (PERSON, [(10, 10, 190, 200)]),  # fills most of the picture: a crop
        (PERSON[:95, :95], [(10, 10, 20, 20)]),  # below 96 px, nothing is looked for
    ],
)
def test_other_pictures_are_taken_whole(image, boxes):
    finder = make_finder(FixedDetector(boxes))
    assert finder.find([image])[0] is None
    assert finder.crop([image])[0] is image


def test_embedder_cuts_only_when_asked():
    skimage = pytest.importorskip("skimage.data")
    person = skimage.astronaut()
    settings = {"weights": None, "image_size": 32, "random_state": 0}
    whole, cutting = (FaceEmbedder(TinyBackbone(), find_face=find, **settings).fit([person]) for find in (False, True))
    assert FaceFinder().find([person])[0] is not None
    assert not np.allclose(whole.transform([person]), cutting.transform([person]))
    np.testing.assert_array_equal(whole.transform(FaceFinder().crop([person])), cutting.transform([person]))
    face = make_faces(1)[0][0]
    np.testing.assert_array_equal(whole.transform([face]), cutting.transform([face]))


def test_a_glance_that_sees_a_crop_is_enough_and_one_that_does_not_is_not():
    small, filling = FixedDetector([(10, 10, 40, 50)]), FixedDetector([(10, 10, 190, 200)])
    assert FaceFinder(small, filling).find([PERSON])[0] is None
    for fast_detector in (FixedDetector([]), small):
        assert FaceFinder(small, fast_detector).find([PERSON])[0].tolist() == [10, 10, 40, 50]
        assert FaceFinder(filling, fast_detector).find([PERSON])[0] is None


def test_pictures_are_searched_together_as_one_by_one():
    skimage = pytest.importorskip("skimage.data")
    person = skimage.astronaut()
    pictures = [person, make_faces(1)[0][0], person[:90, 150:290], person[:, ::-1], PERSON, person[:200, 100:320]]
    finder = FaceFinder()
    alone = [finder.find([picture])[0] for picture in pictures]
    assert [box is None for box in alone] == [False, True, True, False, True, False]
    for box, same in zip(finder.find(pictures), alone, strict=True):
        np.testing.assert_array_equal(box, same)
    assert finder.find([]) == []


@pytest.mark.parametrize(("side_px", "sizes"), [(100, [8, 2]), (1500, [2, 2, 2, 2, 2])])
def test_few_large_pictures_wait_for_each_other(side_px, sizes, monkeypatch):
    together = []
    find = FaceFinder.find
    monkeypatch.setattr(FaceFinder, "find", lambda self, images: together.append(len(images)) or find(self, images))
    picture = np.zeros((side_px, side_px, 3), dtype=np.uint8)
    settings = {"weights": None, "image_size": 32, "random_state": 0, "cache": None}
    FaceEmbedder(TinyBackbone(), find_face=True, **settings).fit([picture]).transform([picture] * 10)
    assert sorted(together, reverse=True) == sizes
