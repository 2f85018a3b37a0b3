"""Drawn photos with annotated faces, which tests write in several formats."""

import numpy as np
from PIL import Image

from maskkit.datasets import AnnotatedPhoto
from maskkit.testing import make_faces

BOXES = [(10, 8, 60, 62), (80, 8, 130, 62)]
SIZE = (144, 72)


def draw_photos(folder, n_photos):
    """Draw photos of two faces each, and one without a face."""
    folder.mkdir(parents=True, exist_ok=True)
    faces, labels = make_faces(2 * n_photos)
    photos = []
    for index in range(n_photos):
        picture = Image.new("RGB", SIZE)
        for face, left in zip(faces[2 * index :], (4, 74), strict=False):
            picture.paste(Image.fromarray(face), (left, 4))
        picture.save(folder / f"{index}.png")
        photos.append(AnnotatedPhoto(folder / f"{index}.png", BOXES, labels[2 * index : 2 * index + 2]))
    Image.new("RGB", SIZE).save(folder / "empty.png")
    return [*photos, AnnotatedPhoto(folder / "empty.png", [], [])]


def assert_equal_photos(found, wanted):
    """Raise AssertionError unless the photos have the same names, and faces with the same boxes and labels."""
    assert [photo.path.name for photo in found] == [photo.path.name for photo in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.path.exists()
        assert one.labels.tolist() == other.labels.tolist()
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
