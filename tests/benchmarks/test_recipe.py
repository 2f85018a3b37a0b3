"""Training of the bundled model: held-out photos, and the steps from data to a calibrated model."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import train_lite0 as recipe
from maskkit.datasets import AnnotatedPhoto
from maskkit.testing import make_faces

NAMES = ("with_mask", "without_mask", "mask_weared_incorrect")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty photos of three drawn faces in a row."""
    folder = tmp_path_factory.mktemp("photos")
    faces, labels = make_faces(60, classes=NAMES, size_px=48)
    photos = []
    for index in range(20):
        chosen = slice(3 * index, 3 * index + 3)
        Image.fromarray(np.hstack(faces[chosen])).save(folder / f"{index}.png")
        boxes = np.array([[48 * place, 0, 48 * place + 48, 48] for place in range(3)])
        photos.append(AnnotatedPhoto(folder / f"{index}.png", boxes, labels[chosen]))
    return photos


def test_photos_are_split_completely_and_once(photos):
    train, calibrate, report = recipe.split_photos(photos)
    assert (len(train), len(calibrate), len(report)) == (14, 2, 4)
    assert {photo.path for part in (train, calibrate, report) for photo in part} == {photo.path for photo in photos}


def test_training_reads_no_photo_of_the_report(photos, monkeypatch):
    read = set()
    load = recipe.load_image
    monkeypatch.setattr(recipe, "load_image", lambda path: read.add(path) or load(path))
    monkeypatch.setattr(recipe, "_PRECISION", 0.1)
    faces, labels = make_faces(12, classes=("WithMask", "WithoutMask"), size_px=48)
    model = recipe.train_lite0(faces, labels.tolist(), photos[:10], epochs=1)
    assert model.classes_.tolist() == ["mask_worn_incorrectly", "with_mask", "without_mask"]
    assert model.class_counts_.sum() == 12 + 7 * (8 + 1 + 3)
    assert model.min_size_px > 0
    assert not read & {photo.path for photo in recipe.split_photos(photos)[2]}
    assert len(read) == 8
