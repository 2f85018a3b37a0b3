"""Saved models predict alike, and damaged ones are refused with a reason."""

import json
import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
import safetensors.torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from maskkit import MaskClassifier, TransferHead, evaluate, evaluate_photos
from maskkit.augment import paint_mask
from maskkit.datasets import AnnotatedPhoto
from maskkit.detectors import CenterFaceDetector, MaskkitDetector
from maskkit.exceptions import ModelFileError, PluginError
from maskkit.testing import FixedDetector
from tests.conftest import make_classifier


def make_model(**params):
    """A model of plugins that are installed, so that a file can name them."""
    defaults = {
        "weights": None,
        "image_size": 32,
        "detector": "whole",
        "random_state": 0,
        "epochs": 2,
        "fine_tune": False,
    }
    return MaskClassifier("timm:test_resnet", **{**defaults, **params})


@pytest.fixture(scope="module")
def model(faces):
    return make_model().fit(*faces)


@pytest.fixture
def folder(model, tmp_path):
    return model.save(tmp_path / "model")


def test_loaded_model_predicts_the_same(model, folder, faces):
    loaded = MaskClassifier.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(faces[0]), model.predict_proba(faces[0]))
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert loaded.class_counts_.tolist() == [20, 20]
    assert loaded.history_ == model.history_
    assert loaded.model_name_ == "model"


def test_the_fit_of_a_loaded_model_can_be_repeated(model, folder, faces):
    again = clone(MaskClassifier.load(folder)).set_params(weights=None, epochs=2, fine_tune=False).fit(*faces)
    np.testing.assert_array_equal(again.predict_proba(faces[0]), model.predict_proba(faces[0]))


def test_new_process_with_another_hash_seed_predicts_the_same(model, folder, faces, tmp_path):
    np.save(tmp_path / "faces.npy", np.stack(faces[0]))
    script = (
        "import sys, numpy as np\nfrom maskkit import MaskClassifier\n"
        "np.save(sys.argv[3], MaskClassifier.load(sys.argv[1]).predict_proba(np.load(sys.argv[2])))\n"
    )
    arguments = [folder, tmp_path / "faces.npy", tmp_path / "proba.npy"]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, env={**os.environ, "PYTHONHASHSEED": "11"})
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), model.predict_proba(faces[0]))


def test_saved_model_keeps_how_it_was_trained_and_not_where(faces, tmp_path):
    params = {"fine_tune": True, "gradient_accumulation_steps": 2, "checkpoint": tmp_path / "state"}
    folder = make_model(**params).fit(*faces).save(tmp_path / "model")
    saved = json.loads((folder / "maskkit.json").read_text())["params"]
    assert saved["gradient_accumulation_steps"] == 2
    assert "checkpoint" not in saved


def test_fine_tuned_model_keeps_its_backbone(faces, tmp_path):
    model = make_model(fine_tune=True).fit(*faces)
    loaded = MaskClassifier.load(model.save(tmp_path / "tuned"))
    np.testing.assert_array_equal(loaded.predict_proba(faces[0]), model.predict_proba(faces[0]))


def test_half_precision_halves_the_file_and_keeps_the_labels(model, folder, faces, tmp_path):
    half = model.save(tmp_path / "half", half=True)
    sizes = [(place / "model.safetensors").stat().st_size for place in (half, folder)]
    assert sizes[0] < 0.55 * sizes[1]
    loaded = MaskClassifier.load(half)
    np.testing.assert_allclose(loaded.predict_proba(faces[0]), model.predict_proba(faces[0]), atol=0.02)


def test_int_labels_stay_ints(faces, tmp_path):
    model = make_model().fit(faces[0], np.where(faces[1] == "with_mask", 1, 0))
    loaded = MaskClassifier.load(model.save(tmp_path / "ints"))
    assert loaded.classes_.tolist() == [0, 1]
    assert loaded.predict(faces[0]).dtype.kind == "i"


def test_detector_and_device_can_be_chosen_when_loading(folder):
    detector = FixedDetector([[0, 0, 5, 5]])
    loaded = MaskClassifier.load(folder, detector=detector, device="cpu")
    assert loaded.detector_ is detector
    with pytest.raises(ValueError, match=r"load\(\) cannot change epochs, because the model is trained"):
        MaskClassifier.load(folder, epochs=3)


def test_card_says_what_is_known(folder):
    card = (folder / "README.md").read_text()
    assert "\n# model\n" in card
    assert "| with_mask | 20 |" in card
    assert "`timm:test_resnet`" in card


def test_card_and_description_hold_the_figures_of_evaluations(model, faces, tmp_path):
    photos = [
        AnnotatedPhoto(tmp_path / f"{index}.png", np.array([[0, 0, 64, 64]], dtype=np.float32), np.array([label]))
        for index, label in enumerate(faces[1][:4])
    ]
    for photo, image in zip(photos, faces[0], strict=False):
        Image.fromarray(image).save(photo.path)
    evaluations = {
        "entrance | March": evaluate(model, *faces, n_resamples=50),
        "street": evaluate_photos(model, photos, n_resamples=50),
    }
    folder = model.save(tmp_path / "model", evaluation=evaluations)
    card = (folder / "README.md").read_text()
    assert "### entrance | March\n\n**40 faces**\n\n| metric |" in card
    assert f"| accuracy | {evaluations['entrance | March'].estimates['accuracy']} |" in card
    assert "### street\n\n**4 photos, 4 faces**" in card
    assert "from the training itself and from the data named" in card
    stored = json.loads((folder / "maskkit.json").read_text())["training"]["evaluation"]
    assert stored["street"]["detection_recall"]["n"] == 4
    assert MaskClassifier.load(folder).classes_.tolist() == model.classes_.tolist()


def test_loaded_model_keeps_its_evaluations_until_it_changes(model, faces, tmp_path):
    first, second = (evaluate(model, *data, n_resamples=50) for data in (faces, [part[:20] for part in faces]))
    loaded = MaskClassifier.load(model.save(tmp_path / "model", evaluation={"door": first}))
    folder = loaded.save(tmp_path / "again", evaluation={"hall": second})
    stored = json.loads((folder / "maskkit.json").read_text())["training"]["evaluation"]
    assert [stored[name]["accuracy"]["n"] for name in ("door", "hall")] == [40, 20]
    card = (folder / "README.md").read_text()
    assert card.index("### door\n\n**40 faces**\n\n| metric |") < card.index("### hall\n\n**20 faces**")
    calibrated = MaskClassifier.load(folder).calibrate(*faces)
    for changed in (calibrated, MaskClassifier.load(folder).set_params(epochs=1, fine_tune=False).fit(*faces)):
        assert "## Evaluation" not in (changed.save(tmp_path / "changed") / "README.md").read_text()
    damage_config(folder, training=json.loads((folder / "maskkit.json").read_text())["training"] | {"evaluation": []})
    with pytest.raises(ModelFileError, match="evaluation or evaluation_tables is no object"):
        MaskClassifier.load(folder)


def test_card_lists_no_single_face(model, faces, tmp_path):
    wrong = evaluate(model, faces[0], faces[1][::-1], n_resamples=50)
    assert len(wrong.mistakes) > 10
    card = (model.save(tmp_path / "model", evaluation={"reversed": wrong}) / "README.md").read_text()
    assert wrong.mistakes[0].name not in card


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda found: found, "of type Evaluation"),
        (lambda found: {1: found}, "has 1 of type Evaluation"),
        (lambda found: {"name": 0.9}, "has 'name' of type float"),
    ],
)
def test_evaluations_are_named(model, faces, tmp_path, make, got):
    found = evaluate(model, *faces, n_resamples=50)
    with pytest.raises(TypeError, match=f"evaluation {got}; want a dict from the name of the data to what evaluate"):
        model.save(tmp_path / "model", evaluation=make(found))
    assert list(tmp_path.iterdir()) == []


def test_saving_over_a_model_replaces_it_and_over_anything_else_is_refused(model, folder, tmp_path):
    model.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "maskkit.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("mine")
    with pytest.raises(ModelFileError, match="photos: exists and is not a maskkit model; choose another name"):
        model.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "mine"


def test_heads_and_plugins_that_no_file_holds_are_refused(faces, tmp_path):
    with pytest.raises(ModelFileError, match="LogisticRegression has no file format but pickle"):
        make_model(head=LogisticRegression(), epochs=None).fit(*faces).save(tmp_path / "a")
    with pytest.raises(PluginError, match=r"TinyBackbone is not installed as a plugin, .*declare the entry point"):
        make_classifier().fit(*faces).save(tmp_path / "b")
    assert not list(tmp_path.iterdir())


def damage_config(folder, **changes):
    path = folder / "maskkit.json"
    document = json.loads(path.read_text())
    for name, value in changes.items():
        if value is None:
            del document[name]
        else:
            document[name] = value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "maskkit.json").unlink(), r"is not a maskkit model \(maskkit\.json is missing\)"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"\(model\.safetensors is missing\)"),
        (lambda folder: (folder / "maskkit.json").write_text('{"format'), r"cannot be read"),
        (lambda folder: (folder / "maskkit.json").write_text("[1]"), r"has format version None"),
        (
            lambda folder: damage_config(folder, format_version=99),
            r"has format version 99, this maskkit reads 1; upgrade",
        ),
        (lambda folder: damage_config(folder, classes=None, head=None), r"lacks classes, head"),
        (lambda folder: damage_config(folder, head={"n_features": 3}), r"its parts do not match"),
        (lambda folder: os.truncate(folder / "model.safetensors", 1000), r"is damaged or was changed"),
    ],
)
def test_damaged_models_are_named(folder, damage, message):
    damage(folder)
    with pytest.raises(ModelFileError, match=message):
        MaskClassifier.load(folder)


def test_swapped_weights_are_noticed(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["head.3.bias"] += 1
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="is damaged or was changed"):
        MaskClassifier.load(folder)


def test_unknown_pretrained_model_is_named():
    with pytest.raises(ModelFileError, match="'maskkit-huge' is neither a folder nor a model that ships with maskkit"):
        MaskClassifier.from_pretrained("maskkit-huge")


def test_unseen_settings_of_the_head_survive(faces, tmp_path):
    model = make_model(head=TransferHead(hidden_units=7, dropout=0.5), epochs=None).fit(*faces)
    loaded = MaskClassifier.load(model.save(tmp_path / "small"))
    assert loaded.head_.network_[1].out_features == 7
    assert loaded.head_.dropout == 0.5


def test_shipped_model_is_small_and_tells_a_portrait_from_a_masked_one():
    folder = files("maskkit") / "pretrained" / "maskkit-lite0"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6
    model = MaskClassifier.from_pretrained("maskkit-lite0")
    portrait = pytest.importorskip("skimage.data").astronaut()
    (face,) = model.predict_faces(portrait)
    (masked,) = model.predict_faces(paint_mask(portrait, face.landmarks, kind="surgical", random_state=5))
    assert [face.label, masked.label] == ["without_mask", "with_mask"]
    assert "12k" in (folder / "README.md").read_text()


def test_saving_in_the_model_itself_keeps_it(model, folder, faces, monkeypatch):
    monkeypatch.chdir(folder)
    model.save(".")
    np.testing.assert_array_equal(MaskClassifier.load(folder).predict_proba(faces[0]), model.predict_proba(faces[0]))


def test_what_a_user_put_beside_a_model_is_not_lost(model, folder):
    (folder / "report.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"holds report.json besides its model, which would be lost"):
        model.save(folder)
    assert (folder / "report.json").read_text() == "{}"


def test_numbers_of_numpy_and_weights_of_int_classes_come_back(faces, tmp_path):
    labels = (np.asarray(faces[1]) == "with_mask").astype(int)
    settings = {"epochs": np.int64(1), "class_weight": {0: 1.0, 1: np.float32(5)}, "learning_rate": np.float32(0.001)}
    model = make_model(head=TransferHead(hidden_units=np.int64(7)), **settings).fit(faces[0], labels)
    loaded = MaskClassifier.load(model.save(tmp_path / "model"))
    again = loaded.save(tmp_path / "again")
    params = [json.loads((folder / "maskkit.json").read_text())["params"] for folder in (tmp_path / "model", again)]
    assert params[0] == params[1]
    assert params[0]["class_weight"] == {"pairs": [[0, 1.0], [1, 5.0]]}
    clone(loaded).set_params(fine_tune=False).fit(faces[0], labels)


def test_settings_of_the_machine_stay_there(faces, tmp_path):
    model = make_model(batch_size=7, verbose=0).fit(*faces)
    loaded = MaskClassifier.load(model.save(tmp_path / "model"))
    assert (loaded.batch_size, loaded.device) == (None, "auto")


def test_a_detector_of_one_scale_is_read_as_one_of_several(faces, tmp_path):
    folder = make_model(detector="whole").fit(*faces).save(tmp_path / "model")
    config = json.loads((folder / "maskkit.json").read_text())
    config["detector"] = {"spec": "centerface", "params": {"long_side_px": 1024, "threshold": 0.5}}
    (folder / "maskkit.json").write_text(json.dumps(config))
    detector = MaskClassifier.load(folder).predictor_.detector
    assert isinstance(detector, CenterFaceDetector)
    assert (detector.long_sides_px, detector.threshold) == (1024, 0.5)


def test_device_of_the_detector_stays_on_its_machine(faces, tmp_path):
    detector = MaskkitDetector(long_sides_px=(240, 600), device="cuda:3", n_threads=1)
    folder = make_model(detector=detector).fit(*faces).save(tmp_path / "model")
    loaded = MaskClassifier.load(folder, device="cpu").predictor_.detector
    assert (tuple(loaded.long_sides_px), loaded.device, loaded.n_threads) == ((240, 600), "cpu", None)
