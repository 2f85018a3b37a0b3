"""Explanations of face crops and photos by heat maps."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, coffee
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch import nn

from maskkit import MaskClassifier, explain, explain_faces
from maskkit.augment import paint_mask
from maskkit.exceptions import ImageError
from maskkit.testing import FixedDetector
from tests.conftest import make_classifier


@pytest.fixture(scope="module")
def shipped():
    """Bundled model. Do not change it: other tests use it too."""
    return MaskClassifier.from_pretrained()


@pytest.fixture(scope="module")
def portrait(shipped, tmp_path_factory):
    """Crops of a portrait, unmasked and with a painted mask, and the pixels of the paint."""
    picture = astronaut()
    photo = shipped.predict_faces(picture)
    painted = replace(photo, source=paint_mask(picture, photo[0].landmarks, kind="surgical", random_state=5))
    folder = tmp_path_factory.mktemp("crops")
    unmasked, masked = (
        np.asarray(Image.open(result.save_crops(folder, stem=stem)[0]))
        for stem, result in (("unmasked", photo), ("masked", painted))
    )
    return unmasked, masked, (unmasked != masked).any(axis=2)


def share_below(heat):
    return heat[heat.shape[0] // 2 :].sum() / heat.sum()


def contrast(heat, painted):
    return heat[painted].mean() - heat[~painted].mean()


def with_random_weights(model, seed):
    """Return a copy of a model with untrained weights."""
    model = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        for module in [*model.embedder_.network_.modules(), *model.head_.network_.modules()]:
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    # Otherwise the engine compiled from these weights would be cached as that of the bundled model.
    model.embedder_._fitted.invalidate_engines()
    return model


def test_heat_is_on_the_mask(shipped, portrait):
    _, masked, painted = portrait
    explanation = explain(shipped, masked)
    assert explanation.label == "with_mask"
    assert share_below(explanation.heat) > 0.6
    assert contrast(explanation.heat, painted) > 0.2


def test_heat_of_an_unmasked_face_is_on_its_lower_half(shipped, portrait):
    unmasked, _, _ = portrait
    explanation = explain(shipped, unmasked)
    assert explanation.label == "without_mask"
    assert share_below(explanation.heat) > 0.6


def test_untrained_networks_give_other_maps(shipped, portrait):
    """A map that does not depend on what was learned explains nothing (Adebayo et al. 2018, arXiv:1810.03292)."""
    _, masked, painted = portrait
    trained = explain(shipped, masked).heat
    untrained = [explain(with_random_weights(shipped, seed), masked, label="WithMask").heat for seed in range(6)]
    assert np.mean([contrast(heat, painted) for heat in untrained]) < contrast(trained, painted) / 2
    assert min(np.abs(heat - trained).mean() for heat in untrained) > 0.1


def test_explanation_agrees_with_the_classifier(fitted, faces):
    for image in faces[0][:4]:
        explanation = explain(fitted, image)
        (row,) = fitted.predict_proba([image])
        assert explanation.label == fitted.predict([image])[0]
        assert explanation.probability == row.max()
        assert explanation.heat.shape == image.shape[:2]
        assert explanation.heat.dtype == np.float32
        assert 0 <= explanation.heat.min() < explanation.heat.max() <= 1
        np.testing.assert_array_equal(explanation.image, image)
        assert fitted.embedder_.network_.get_submodule(explanation.layer) is not None


def test_another_class_is_explained_regardless_of_spelling(fitted, faces):
    image = faces[0][0]
    predicted, other = explain(fitted, image), explain(fitted, image, label="WithoutMask")
    assert (predicted.label, other.label) == ("with_mask", "without_mask")
    assert other.probability == pytest.approx(1 - predicted.probability)
    assert not np.allclose(predicted.heat, other.heat)
    with pytest.raises(ValueError, match="label='hat' is not a class of this model; use one of 'with_mask', 'without"):
        explain(fitted, image, label="hat")


def test_integer_labels_and_oblong_images(faces):
    model = make_classifier().fit(faces[0], (faces[1] == "with_mask").astype(int))
    explanation = explain(model, faces[0][0][:, :40], label=0)
    assert explanation.label == 0
    assert explanation.heat.shape == (64, 40)
    assert explanation.draw().size == (140, 224)


@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet_lite0", "timm:test_resnet"])
def test_every_kind_of_backbone_is_explained(backbone, faces):
    model = make_classifier(backbone=backbone, image_size=64, epochs=3).fit(faces[0][:8], faces[1][:8])
    assert explain(model, faces[0][0]).heat.shape == (64, 64)


def test_model_is_not_changed(faces):
    model = make_classifier().fit(*faces)
    networks = model.embedder_.network_, model.head_.network_
    model.head_.network_[1].train()
    model.embedder_.network_[0].weight.requires_grad_(False)

    def state():
        return [
            (
                module.training,
                dict(module._forward_hooks),
                dict(module._backward_hooks),
                dict(module._forward_pre_hooks),
            )
            for network in networks
            for module in network.modules()
        ] + [
            (parameter.requires_grad, parameter.grad, parameter.device, parameter.detach().numpy().tobytes())
            for network in networks
            for parameter in network.parameters()
        ]

    before, proba = state(), model.predict_proba(faces[0][:3])
    explain(model, faces[0][0])
    explain_faces(model, faces[0][0])
    assert state() == before
    np.testing.assert_array_equal(model.predict_proba(faces[0][:3]), proba)


def test_unsupported_models_and_images_raise(faces):
    with pytest.raises(NotFittedError):
        explain(make_classifier(), faces[0][0])
    model = make_classifier(head=LogisticRegression()).fit(*faces)
    with pytest.raises(ValueError, match=r"MaskClassifier has the head LogisticRegression, .* with head=None"):
        explain(model, faces[0][0])
    model = make_classifier(backbone="timm:test_vit", image_size=160).fit(faces[0][:4], faces[1][:4])
    with pytest.raises(ValueError, match="explain needs a convolutional backbone"):
        explain(model, faces[0][0])
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        explain(model, "gone.png")


def test_picture_is_gray_without_heat_and_colored_with_heat(fitted, faces, tmp_path):
    explanation = explain(fitted, faces[0][0])
    path = explanation.save(tmp_path / "new" / "face.png")
    with Image.open(path) as picture:
        assert picture.size == (224, 224)
        assert not picture.info
        pixels = np.asarray(picture.resize((64, 64))).astype(int)
    saturation = pixels.max(axis=2) - pixels.min(axis=2)
    hot, cold = explanation.heat > 0.8, explanation.heat < 0.02
    assert saturation[hot].mean() > 60
    assert not cold.any() or saturation[cold].mean() < 10
    assert explanation._repr_png_().startswith(b"\x89PNG")
    assert repr(explanation).startswith("<Explanation: with_mask ")


def test_faces_of_a_photo_are_explained_in_order(faces, tmp_path):
    detector = FixedDetector([[0, 0, 64, 64], [64, 0, 100, 36]])
    model = make_classifier(detector=detector, batch_size=1).fit(*faces)
    photo = np.hstack([faces[0][0], faces[0][1]])
    explained = explain_faces(model, photo)
    assert [face.label for face in explained] == [face.label for face in model.predict_faces(photo)]
    assert [face.probability for face in explained] == [face.probability for face in explained.photo]
    assert [len(face.heat) for face in explained] == [74, 41]  # 1.15 of the boxes' sides
    assert explained[:1] == explained.faces[:1]
    again = explain_faces(model, explained.photo, label="with_mask")
    assert [face.label for face in again] == ["with_mask"] * 2
    with Image.open(explained.save(tmp_path / "sheet.png")) as sheet:
        assert sheet.width > 4 * 144
    assert explained._repr_png_().startswith(b"\x89PNG")


def test_photo_without_a_face_is_empty_and_cannot_be_drawn(shipped):
    explained = explain_faces(shipped, coffee())
    assert len(explained) == 0
    assert explained._repr_png_() is None
    with pytest.raises(ValueError, match="no face was detected, so there is nothing to draw"):
        explained.draw()


def test_unreadable_photo_raises(fitted, tmp_path):
    (result,) = fitted.predict_photos([tmp_path / "gone.jpg"])
    for photo in (tmp_path / "gone.jpg", result):
        with pytest.raises(ImageError, match="no such file"):
            explain_faces(fitted, photo)


def test_explanations_are_pickled(fitted, faces):
    explanation = explain(fitted, faces[0][0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(explanation)).heat, explanation.heat)


def test_training_mode_of_the_head_does_not_change_the_map(faces):
    model = make_classifier().fit(*faces)
    expected = explain(model, faces[0][0]).heat
    assert isinstance(model.head_.network_[0], nn.Dropout)
    model.head_.network_.train()
    np.testing.assert_array_equal(explain(model, faces[0][0]).heat, expected)
