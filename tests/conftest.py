"""What tests share. Nothing here needs the network or real data."""

import os
from pathlib import Path

import pytest
from PIL import Image

from maskkit import MaskClassifier
from maskkit.testing import FixedDetector, TinyBackbone, make_faces


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data; a test that asks for it is skipped where there is none."""
    places = [os.environ.get("MASKKIT_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "face-mask-12k").is_dir():
            return Path(place)
    pytest.skip("no real data: MASKKIT_DATA is not set and ../shared/data does not exist")


@pytest.fixture(scope="session")
def faces():
    """Drawn faces of two classes and their labels."""
    return make_faces(40)


@pytest.fixture(scope="session")
def face_paths(faces, tmp_path_factory):
    """The same faces as PNG files, and their labels."""
    folder = tmp_path_factory.mktemp("faces")
    paths = [folder / f"face {index}.png" for index in range(len(faces[0]))]
    for path, image in zip(paths, faces[0], strict=True):
        Image.fromarray(image).save(path)
    return paths, faces[1]


def make_classifier(**params):
    """A classifier that fits in a moment."""
    defaults = {
        "backbone": TinyBackbone(),
        "weights": None,
        "detector": FixedDetector([[0, 0, 64, 64]]),
        "random_state": 0,
    }
    return MaskClassifier(**{**defaults, **params})


@pytest.fixture(scope="session")
def fitted(faces):
    """A fitted classifier. Do not refit it: other tests use it too."""
    return make_classifier().fit(*faces)
