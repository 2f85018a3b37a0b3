"""One preprocessing for training and prediction."""

import numpy as np
import torch
from PIL import Image

from tests.helpers import Preprocess

PREPROCESS = Preprocess(8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def test_load_resizes_the_whole_image_to_a_square():
    image = np.zeros((4, 16, 3), dtype=np.uint8)
    image[:, 8:] = 255
    loaded = PREPROCESS.load(image)
    assert loaded.shape == (8, 8, 3)
    assert loaded[:, :3].max() == 0
    assert loaded[:, 5:].min() == 255


def test_normalise_follows_the_formula_channel_by_channel():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    got = PREPROCESS.normalize(pixels, torch.device("cpu"))
    want = (pixels / 255 - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
    np.testing.assert_allclose(got.numpy(), want.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_all_forms_are_resized_alike(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "face.png")
    np.testing.assert_array_equal(PREPROCESS.load(tmp_path / "face.png"), PREPROCESS.load(image))
