"""Every example runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from maskkit.testing import make_faces

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = ["search_on_a_cluster.py"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of split and class folders with drawn faces."""
    folder = tmp_path_factory.mktemp("data")
    images, labels = make_faces(36)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / ("Train" if index < 24 else "Validation") / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    return folder


def run(script, *arguments):
    done = subprocess.run([sys.executable, FOLDER / script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs_by_itself(script):
    if "cluster" in script:
        pytest.importorskip("ray", reason="ray is not installed: pip install 'maskkit[ray]'")
    assert run(script).strip()


@pytest.mark.parametrize("script", ["train_and_evaluate.py", "pipeline.py"])
def test_example_runs_on_a_folder(script, data):
    assert run(script, data).strip()


def test_every_example_is_in_the_list():
    listed = (FOLDER / "README.md").read_text()
    assert all(f"`{script}" in listed for script in SCRIPTS)
