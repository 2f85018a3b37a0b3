"""What tests of exports share."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageFilter

import maskkit
from maskkit import MaskClassifier
from maskkit.cli import main
from maskkit.detectors import MaskkitDetector
from tests.helpers import TorchRunner

WEIGHTS = Path(maskkit.__file__).parent / "pretrained" / "maskkit-faces" / "model.safetensors"


def main_or_exit(arguments):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 0


class Float32Detector(MaskkitDetector):
    """maskkit's detector in float32, which OpenVINO computes in bfloat16 where the processor supports it."""

    def _search(self, runner, images):
        runner = TorchRunner(str(WEIGHTS), MaskkitDetector._read_network, torch.device("cpu"))
        runner.precision = torch.float32
        return super()._search(runner, images)


@pytest.fixture(scope="session")
def exact():
    """The bundled model, which computes everything in float32."""
    model = MaskClassifier.from_pretrained().set_params(engine="torch", precision="float32")
    model.detector_ = Float32Detector()
    return model


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory):
    """A bundle of the bundled model, written by the command."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    main_or_exit(["export", "--bundle", "--out", str(folder)])
    return folder


def load_runtime(folder):
    """Import the runtime of a bundle from its file."""
    spec = importlib.util.spec_from_file_location("maskkit_bundle", folder / "maskkit_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def crowd():
    """A photo of 1900 x 800 with the same portrait at sizes from 40 to 800 px, two of them over the edge."""
    portrait = Image.fromarray(skimage.data.astronaut())
    photo = Image.new("RGB", (1900, 800), (90, 110, 130))
    places = {(0, 0): 800, (820, 20): 300, (1150, 30): 150, (1330, 40): 90, (1450, 60): 60, (1530, 70): 40}
    for place, side in {**places, (1790, 300): 256, (900, 500): 200, (1300, 700): 220}.items():
        photo.paste(portrait.resize((side, side)), place)
    return np.asarray(photo)


@pytest.fixture(scope="session")
def faint():
    """A blurred face that fills the picture, and is found because such a face may have a lower score, here 0.27."""
    portrait = Image.fromarray(skimage.data.astronaut()[60:190, 165:280])
    return np.asarray(portrait.filter(ImageFilter.GaussianBlur(5)))
