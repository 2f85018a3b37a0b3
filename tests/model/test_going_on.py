"""Going on from a trained model: `warm_start`, and `weights` that name a model."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from maskkit import MaskClassifier, TransferHead
from maskkit.exceptions import ImageError, ModelFileError, WeightsError
from tests.conftest import make_classifier

# A rate so low, and so short a training, that the model stays what it was.
STILL = {"learning_rate": 1e-9, "epochs": 1, "fine_tune": False}


def make_model(**params):
    defaults = {"weights": None, "image_size": 32, "detector": "whole", "precision": "float32", "fine_tune": False}
    return MaskClassifier("timm:test_resnet", random_state=0, **{**defaults, **params})


@pytest.fixture(scope="module")
def saved(faces, tmp_path_factory):
    return make_model().fit(*faces).save(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture
def base(saved):
    return MaskClassifier.load(saved)


def rename(labels, **names):
    return [names[label] for label in labels]


@pytest.mark.parametrize("fine_tune", [True, False])
def test_a_warm_start_begins_where_the_model_is(fine_tune, faces):
    model = make_classifier(epochs=3).fit(*faces)
    wanted = model.predict_proba(faces[0])
    model.set_params(warm_start=True, **{**STILL, "fine_tune": fine_tune}).fit(*faces)
    np.testing.assert_allclose(model.predict_proba(faces[0]), wanted, atol=1e-3)
    assert len(model.history_) == 1


def test_without_a_warm_start_a_fit_begins_anew(faces):
    model = make_classifier(epochs=3).fit(*faces)
    wanted = model.predict_proba(faces[0])
    assert abs(model.set_params(**STILL).fit(*faces).predict_proba(faces[0]) - wanted).max() > 0.1
    assert model.base_ is None


@pytest.mark.parametrize("begin", [lambda model: model, clone], ids=["loaded", "clone"])
def test_a_loaded_model_and_its_clones_go_on_from_the_model(begin, base, faces):
    wanted = base.predict_proba(faces[0])
    model = begin(base).set_params(**STILL, find_face=False).fit(*faces)
    np.testing.assert_allclose(model.predict_proba(faces[0]), wanted, atol=1e-3)
    assert model.base_["name"] == "base"
    assert model.base_["sha256"] == base.predict_faces(faces[0][0]).model_sha256


def test_folds_of_a_cross_validation_go_on_from_the_model(base, faces):
    assert cross_val_score(base.set_params(**STILL), *faces, cv=2).tolist() == [1.0, 1.0]


def test_a_new_classifier_goes_on_from_a_folder_or_a_model_that_ships(saved, faces):
    model = make_model(weights=saved, image_size=None, **STILL).fit(*faces)
    assert model.score(*faces) == 1
    assert model.embedder_.preprocess_.image_size == 32
    lite = MaskClassifier("efficientnet_lite0", weights="maskkit-lite0", fine_tune=False, random_state=0)
    lite.fit(*faces)
    assert lite.classes_.tolist() == ["mask_worn_incorrectly", "with_mask", "without_mask"]
    assert lite.class_counts_.tolist() == [0, 20, 20]
    assert lite.base_["name"] == "maskkit-lite0"


def test_weights_of_the_file_alone_are_those_of_the_backbone(saved, faces):
    labels = rename(faces[1], with_mask="helmet", without_mask="no helmet")
    model = make_model(weights=saved / "model.safetensors").fit(faces[0], labels)
    assert model.base_ is None
    assert model.classes_.tolist() == ["helmet", "no helmet"]


def test_classes_that_mean_the_same_keep_their_rows_under_the_new_names(base, faces):
    labels = rename(faces[1], with_mask="Masked", without_mask="WithoutMask")
    wanted = base.predict_proba(faces[0])
    model = base.set_params(**STILL).fit(faces[0], labels)
    assert model.classes_.tolist() == ["Masked", "WithoutMask"]
    np.testing.assert_allclose(model.predict_proba(faces[0]), wanted, atol=1e-3)


def test_a_new_class_gains_a_row(base, faces):
    labels = ["respirator" if index < 8 else label for index, label in enumerate(faces[1])]
    wanted = base.predict_proba(faces[0])
    model = base.set_params(**STILL).fit(faces[0], labels)
    assert model.classes_.tolist() == ["respirator", "with_mask", "without_mask"]
    proba = model.predict_proba(faces[0])
    np.testing.assert_allclose(proba[:, 1:] / proba[:, 1:].sum(1, keepdims=True), wanted, atol=1e-3)
    history = base.set_params(epochs=100, learning_rate=0.01).fit(faces[0], labels).history_
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.filterwarnings("ignore:y holds 'WithMask' and 'mask'")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("helmet", "no helmet"),
            r"none is a class of base.*backbone='timm:.*', weights='.*model\.safetensors'",
        ),
        (("mask", "WithMask"), "which are one class of base, 'with_mask'; rename one"),
        ((1, 0), "numbers and names cannot be matched"),
    ],
)
def test_classes_that_contradict_the_model_are_refused(names, message, base, faces):
    labels = rename(faces[1], with_mask=names[0], without_mask=names[1])
    with pytest.raises(ValueError, match=message):
        base.fit(faces[0], labels)


def test_another_backbone_or_head_is_refused(saved, faces):
    with pytest.raises(ValueError, match="has the backbone 'timm:test_resnet', and backbone is 'resnet50'; pass"):
        make_model(weights=saved).set_params(backbone="resnet50").fit(*faces)
    with pytest.raises(
        ValueError, match="goes on with a TransferHead, and head is LogisticRegression; leave head=None"
    ):
        make_model(weights=saved, head=LogisticRegression()).fit(*faces)
    with pytest.raises(ValueError, match="has 300 hidden units, and the head 50; pass head__hidden_units=300"):
        make_model(weights=saved, head=TransferHead(50)).fit(*faces)
    with pytest.raises(ValueError, match="warm_start=True goes on with a TransferHead, not LogisticRegression"):
        make_classifier(head=LogisticRegression(), warm_start=True).fit(*faces).fit(*faces)
    with pytest.raises(ValueError, match=r"head is LogisticRegression.*begin anew: warm_start=False"):
        make_classifier(warm_start=True).fit(*faces).set_params(head=LogisticRegression()).fit(*faces)


def test_a_model_that_is_gone_is_told(saved, faces, tmp_path):
    with pytest.raises(Exception, match="no such file"):
        make_model(weights=tmp_path / "gone").fit(*faces)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "maskkit.json").write_text("{}")
    with pytest.raises(ModelFileError, match="format version"):
        make_model(weights=broken).fit(*faces)


def test_a_loaded_model_whose_folder_is_gone_goes_on_in_memory(saved, faces, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    model = MaskClassifier.load(folder).set_params(**STILL)
    wanted = model.head_.network_(torch.ones(1, 96))
    shutil.rmtree(folder)
    with pytest.raises(WeightsError, match=r"weights='.*copy' is no longer there\. Set warm_start=True"):
        model.fit(*faces)
    model = pickle.loads(pickle.dumps(model)).set_params(warm_start=True).fit(*faces)
    assert model.base_["name"] == "copy"
    np.testing.assert_allclose(model.head_.network_(torch.ones(1, 96)).detach(), wanted.detach(), atol=1e-3)


def test_how_a_model_was_trained_is_no_setting_of_the_next_fit(faces, tmp_path):
    training = {"class_weight": {"with_mask": 2.0, "without_mask": 1.0}, "augment": None, "early_stopping": False}
    model = make_model(epochs=1, learning_rate=0.1, **training).fit(*faces)
    loaded = MaskClassifier.load(model.save(tmp_path / "first"))
    assert (loaded.fine_tune, loaded.class_weight, loaded.augment, loaded.early_stopping) == (
        "auto",
        None,
        "auto",
        None,
    )
    labels = rename(faces[1], with_mask="Masked", without_mask="WithoutMask")
    assert MaskClassifier.load(tmp_path / "first").set_params(epochs=1).fit(faces[0], labels).fine_tuned_
    # A model that is saved again, with other weights or a new temperature, was not trained again.
    loaded.save(tmp_path / "second", half=True)
    cards = [(tmp_path / name / "README.md").read_text() for name in ("first", "second")]
    cards = [card.replace(f"# {name}", "# model") for name, card in zip(("first", "second"), cards, strict=True)]
    assert cards[0] == cards[1]
    params = [json.loads((tmp_path / name / "maskkit.json").read_text())["params"] for name in ("first", "second")]
    assert params[0] == params[1]
    assert params[0].items() >= {"learning_rate": 0.1, "augment": None, "weights": None}.items()


def test_no_folder_of_the_base_is_in_what_is_saved(saved, base, faces, tmp_path):
    for model in (base, make_model(weights=saved / "model.safetensors")):
        folder = model.set_params(**STILL).fit(*faces).save(tmp_path / "own")
        for name in ("README.md", "maskkit.json"):
            assert str(saved.parent) not in (folder / name).read_text()


def test_going_on_that_fails_loses_no_model(base, faces):
    wanted = base.predict_proba(faces[0])
    with pytest.raises(ImageError):
        base.set_params(warm_start=True).fit([*faces[0][:-1], "gone.png"], faces[1])
    np.testing.assert_array_equal(base.predict_proba(faces[0]), wanted)


def test_what_a_model_came_from_is_saved(base, faces, tmp_path):
    first = base.set_params(**STILL).fit(*faces).save(tmp_path / "first")
    second = MaskClassifier.load(first).set_params(**STILL).fit(*faces).save(tmp_path / "second")
    origin = MaskClassifier.load(second).base_
    assert (origin["name"], origin["base"]["name"], origin["base"]["base"]) == ("first", "base", None)
    training = json.loads((second / "maskkit.json").read_text())["training"]
    assert training["base"] == origin
    card = (second / "README.md").read_text()
    assert f"`first` ({origin['sha256'][:12]})" in card
    assert f"`base` ({origin['base']['sha256'][:12]})" in card


@pytest.mark.parametrize("fine_tune", [True, False])
def test_the_shares_of_the_classes_among_few_faces_do_not_count(fine_tune, base, faces):
    images, labels = [*faces[0][:18], *faces[0][:2]], ["with_mask"] * 18 + ["without_mask"] * 2
    quick = {"epochs": 1, "fine_tune": fine_tune, "augment": None, "head__dropout": 0.0, "batch_size": 20}
    balanced = base.set_params(**quick, learning_rate=1e-9).fit(images, labels).history_
    counted = base.set_params(class_weight={"with_mask": 1, "without_mask": 1}).fit(images, labels).history_
    nine = base.set_params(class_weight={"with_mask": 1, "without_mask": 9}).fit(images, labels).history_
    assert balanced[0]["loss"] == pytest.approx(nine[0]["loss"], rel=1e-3)
    assert abs(balanced[0]["loss"] - counted[0]["loss"]) > 0.01


@pytest.mark.parametrize("augment", ["auto", None])
def test_faces_of_two_classes_teach_a_model_of_three(augment, faces):
    """As faces of face-mask-12k teach maskkit-lite0, whose third class comes last beside their names."""
    three = make_model(**STILL).fit(faces[0], ["mask_worn_incorrectly", *faces[1][1:]])
    names = rename(faces[1], with_mask="WithMask", without_mask="WithoutMask")
    three.set_params(warm_start=True, augment=augment, fine_tune=True).fit(faces[0], names)
    assert three.classes_.tolist() == ["WithMask", "WithoutMask", "mask_worn_incorrectly"]
    assert three.class_counts_[2] == 0


@pytest.mark.parametrize("fine_tune", [True, False])
def test_validation_images_may_have_a_class_that_the_labels_lack(fine_tune, base, faces):
    three = ["scarf", *faces[1][1:]]
    first = base.set_params(**STILL).fit(faces[0], three)
    first.set_params(warm_start=True, fine_tune=fine_tune, validation_data=(faces[0], three)).fit(*faces)
    record = first.history_[-1]
    # classes_ are scarf, with_mask and without_mask.
    assert sum(record["validation_confusion"][0]) == 1
    assert np.isfinite(record["validation_loss"])


def test_a_verbose_fit_says_from_what_it_goes_on(base, faces, capsys):
    base.set_params(verbose=1, **{**STILL, "fine_tune": True}).fit(*faces)
    assert "Going on from base. Training every layer" in capsys.readouterr().err


def test_a_loaded_model_can_be_warm_started_without_another_fit(base, faces):
    base.set_params(warm_start=True)
    assert base.score(*faces) == 1
    base.set_params(epochs=1)
    with pytest.raises(NotFittedError, match="epochs was set to 1 after the fit"):
        base.predict(faces[0])
    assert base.fit(*faces).score(*faces) == 1
