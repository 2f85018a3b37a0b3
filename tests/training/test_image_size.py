"""Input size of networks that take one size only."""

import pytest
from torch import nn

from maskkit import FaceEmbedder
from maskkit.exceptions import PluginError
from maskkit.testing import TinyBackbone, make_faces
from tests.conftest import make_classifier


class OneSize(nn.Sequential):
    """A network that takes images of one size, as transformers do."""

    def __init__(self, size):
        super().__init__(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 16))
        self.size = size

    def forward(self, pixels):
        if pixels.shape[-1] != self.size:
            raise AssertionError(f"Input height ({pixels.shape[-1]}) doesn't match model ({self.size}).")
        return super().forward(pixels)


class OneSizeBackbone(TinyBackbone):
    """A plugin whose network takes one size only, and says so nowhere."""

    n_features = 16

    def __init__(self, image_size=48, size=48):
        self.image_size = image_size
        self.size = size

    def build(self, weights):
        return OneSize(self.size)


@pytest.mark.parametrize("backbone", ["timm:vit_tiny_patch16_224", "timm:levit_128s"])
def test_transformers_of_timm_are_fine_tuned_at_their_size(backbone):
    images, labels = make_faces(4)
    model = make_classifier(backbone=backbone, fine_tune=True, epochs=1, batch_size=2, augment=None, find_face=False)
    model.fit(images, labels)
    assert model.embedder_.preprocess_.image_size == 224
    assert model.predict_proba(images).shape == (4, 2)


@pytest.mark.parametrize("size", [48, 160, 224])
def test_network_of_one_size_is_fine_tuned_at_it(faces, size):
    model = make_classifier(backbone=OneSizeBackbone(size, size), fine_tune=True, epochs=1).fit(*faces)
    assert model.embedder_.preprocess_.image_size == size
    assert model.embedder_.image_size == size
    assert model.get_params()["image_size"] is None


def test_networks_of_any_size_keep_160_px(faces):
    model = make_classifier(fine_tune=True, epochs=1).fit(*faces)
    assert model.embedder_.preprocess_.image_size == 160


@pytest.mark.parametrize("fine_tune", [True, False])
def test_wrong_size_of_the_user_is_named(faces, fine_tune):
    model = make_classifier(backbone=OneSizeBackbone(), fine_tune=fine_tune, epochs=1, image_size=64)
    with pytest.raises(PluginError, match=r"OneSizeBackbone.*Input height \(64\) doesn't match model \(48\)"):
        model.fit(*faces)


def test_wrong_size_of_an_embedder_is_named(faces):
    embedder = FaceEmbedder(OneSizeBackbone(), weights=None, image_size=64)
    with pytest.raises(PluginError, match=r"OneSizeBackbone.*doesn't match model \(48\)"):
        embedder.fit(faces[0]).transform(faces[0])


def test_network_that_takes_no_size_raises_once(faces):
    model = make_classifier(backbone=OneSizeBackbone(48, 40), fine_tune=True, epochs=1)
    with pytest.raises(PluginError, match=r"Input height \(48\) doesn't match model \(40\)"):
        model.fit(*faces)
