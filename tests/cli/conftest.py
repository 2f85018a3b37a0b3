"""Data, models and a runner that the tests of all commands share."""

from pathlib import Path

import pytest
from PIL import Image

from maskkit.cli import main
from maskkit.testing import make_faces

# A training run that takes a moment. Each image is a face to the detector "whole".
QUICK = [
    "--backbone",
    "timm:test_resnet",
    "--weights",
    "none",
    "--image-size",
    "48",
    "--detector",
    "whole",
    "--frozen",
    "--quiet",
]


def run(capsys, *arguments):
    """Run a command; return its exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ending:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return ending.value.code or 0, captured.out, captured.err


def write_faces(folder, n_images, splits=("",), classes=("with_mask", "without_mask")):
    """Write drawn faces to split and class folders; return the folder."""
    images, labels = make_faces(n_images, classes=classes)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = Path(folder) / splits[index * len(splits) // n_images] / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Split and class folders of 12 training and 12 validation faces. Do not write to it."""
    return write_faces(tmp_path_factory.mktemp("data"), 24, ("Train", "Validation"))


@pytest.fixture(scope="session")
def model(data, tmp_path_factory):
    """A model folder that the command line trained. Do not write to it."""
    out = tmp_path_factory.mktemp("models") / "model"
    with pytest.raises(SystemExit) as ending:
        main(["train", str(data), "--out", str(out), *QUICK])
    assert not ending.value.code
    return out
