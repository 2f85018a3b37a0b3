"""MaskClassifier behaves as scikit-learn's users expect, on images."""

import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sklearn
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from maskkit import MaskClassifier, TransferHead
from maskkit.exceptions import ImageError, PluginError
from maskkit.testing import FixedDetector, TinyBackbone, make_faces
from tests.conftest import make_classifier
from tests.training.fine_tuning import NormalisedBackbone


def test_learns_and_gives_probabilities(fitted, faces):
    new_faces, new_labels = make_faces(30, random_state=9)
    assert fitted.score(new_faces, new_labels) >= 0.95
    proba = fitted.predict_proba(new_faces)
    assert proba.shape == (30, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert fitted.classes_.tolist() == ["with_mask", "without_mask"]
    np.testing.assert_array_equal(fitted.predict(new_faces), fitted.classes_[proba.argmax(1)])


def test_every_input_form_gives_the_same_answer(fitted, faces, face_paths):
    images, paths = faces[0][:6], face_paths[0][:6]
    expected = fitted.predict_proba(images)
    forms = {
        "paths": paths,
        "strings": [str(path) for path in paths],
        "array of strings": np.array([str(path) for path in paths]),
        "bytes": [path.read_bytes() for path in paths],
        "files": [io.BytesIO(path.read_bytes()) for path in paths],
        "PIL": [Image.open(path) for path in paths],
        "one array": np.stack(images),
    }
    for name, form in forms.items():
        np.testing.assert_array_equal(fitted.predict_proba(form), expected, err_msg=name)


@pytest.mark.parametrize("labels", [["a", "b"], [3, 7], [True, False], ["mask", "none", "nose"]])
def test_labels_keep_their_type(labels):
    images, drawn = make_faces(10 * len(labels), classes=tuple(map(str, range(len(labels)))))
    y = np.array(labels)[drawn.astype(int)]
    model = make_classifier().fit(images, y)
    assert model.classes_.dtype == y.dtype
    assert set(model.predict(images)) <= set(labels)
    assert model.predict_proba(images).shape[1] == len(labels)


def test_default_network_is_the_origins():
    """ResNet-50 without its last layer, Dropout 0.2, Linear 300, Dropout 0.2, Linear 2."""
    images, labels = make_faces(8, size_px=32)
    model = MaskClassifier(weights=None, image_size=32, fine_tune=False, random_state=0).fit(images, labels)
    assert type(model.embedder_.network_).__name__ == "ResNet"
    assert model.embedder_.transform(images).shape == (8, 2048)
    assert [str(layer) for layer in model.head_.network_] == [
        "Dropout(p=0.2, inplace=False)",
        "Linear(in_features=2048, out_features=300, bias=True)",
        "Dropout(p=0.2, inplace=False)",
        "Linear(in_features=300, out_features=2, bias=True)",
    ]


@pytest.mark.parametrize("fine_tune", [False, True])
def test_two_fits_are_equal_bit_for_bit(faces, fine_tune):
    first, second = (make_classifier(fine_tune=fine_tune, epochs=3, random_state=5).fit(*faces) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(faces[0]), second.predict_proba(faces[0]))
    other = make_classifier(fine_tune=fine_tune, epochs=3, random_state=6).fit(*faces)
    assert not np.array_equal(first.predict_proba(faces[0]), other.predict_proba(faces[0]))


def test_refit_forgets_the_first_fit(faces):
    model = make_classifier().fit(*faces)
    three, labels = make_faces(12, classes=("a", "b", "c"))
    model.fit(three, labels)
    assert model.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(model.predict_proba(three), make_classifier().fit(three, labels).predict_proba(three))


def test_cross_validation_over_paths(face_paths):
    paths, labels = face_paths
    assert cross_val_score(make_classifier(), paths, labels, cv=4).mean() > 0.9
    result = cross_validate(make_classifier(), paths, labels, cv=3, scoring=["accuracy", "roc_auc"], n_jobs=2)
    assert result["test_roc_auc"].mean() > 0.9


def test_grid_search_over_backbones_and_head(face_paths):
    search = GridSearchCV(
        make_classifier(image_size=32),
        {"backbone": [TinyBackbone(), "timm:test_resnet"], "head__hidden_units": [4, 300]},
        cv=2,
    ).fit(*face_paths)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.9
    assert search.predict(face_paths[0]).shape == (40,)


def test_head_parameters_of_the_default_head_can_be_set():
    model = make_classifier().set_params(head__hidden_units=7)
    assert isinstance(model.head, TransferHead)
    assert model.head.hidden_units == 7


@pytest.mark.parametrize("head", [LogisticRegression(), GaussianNB(), KNeighborsClassifier(3)])
def test_any_scikit_learn_head_serves(faces, head):
    model = make_classifier(head=head).fit(*faces)
    assert model.score(*faces) > 0.9
    assert model.history_ == []


def test_calibration_wraps_it(faces):
    calibrated = CalibratedClassifierCV(make_classifier(), cv=2).fit(*faces)
    assert calibrated.predict_proba(faces[0]).shape == (40, 2)


def test_sample_weight_reaches_the_head(faces):
    images, labels = faces
    weights = np.where(labels == "with_mask", 1.0, 1e-6)
    model = make_classifier(epochs=1).fit(images, labels, sample_weight=weights)
    assert (
        (model.predict_proba(images)[:, 0]).mean()
        > make_classifier(epochs=1).fit(images, labels).predict_proba(images)[:, 0].mean()
    )


def test_metadata_routing_carries_sample_weight(faces):
    images, labels = faces
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_validate(model, images, labels, cv=2, params={"sample_weight": np.ones(40)})["test_score"]
    assert scores.shape == (2,)


def test_clone_keeps_parameters_and_forgets_the_fit(fitted):
    copy = clone(fitted)
    assert copy.get_params()["random_state"] == 0
    with pytest.raises(NotFittedError):
        copy.predict(["face.png"])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_faces", "predict_photos", "save"])
def test_unfitted_model_says_so_first(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_classifier(), method)(["face.png"])


def test_pickle_predicts_alike_in_another_process(fitted, faces, tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps((fitted, faces[0])))
    script = (
        "import pickle, sys, numpy as np\n"
        "model, images = pickle.load(open(sys.argv[1], 'rb'))\n"
        "np.save(sys.argv[2], model.predict_proba(images))\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.pkl", tmp_path / "proba.npy"],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), fitted.predict_proba(faces[0]))


def test_html_repr_shows_the_parameters(fitted):
    assert "MaskClassifier" in fitted._repr_html_()
    assert "random_state" in fitted._repr_html_()


def test_fine_tuning_moves_every_layer(faces):
    frozen = make_classifier().fit(*faces)
    tuned = make_classifier(fine_tune=True, epochs=2).fit(*faces)
    before, after = (model.embedder_.network_[0].weight for model in (frozen, tuned))
    assert not np.allclose(before.detach(), after.detach())
    assert len(tuned.history_) == 2


def test_fine_tuning_learns(faces):
    model = make_classifier(fine_tune=True, epochs=12, batch_size=16, learning_rate=3e-3, augment=None).fit(*faces)
    new_faces, new_labels = make_faces(30, random_state=9)
    assert model.score(new_faces, new_labels) >= 0.95


@pytest.mark.parametrize(("weights", "stay"), [("imagenet", True), (None, False)])
def test_statistics_of_pretrained_layers_stay_while_their_weights_move(faces, weights, stay):
    frozen, tuned = (
        make_classifier(backbone=NormalisedBackbone(), weights=weights, fine_tune=fine_tune, epochs=2).fit(*faces)
        for fine_tune in (False, True)
    )
    before, after = (model.embedder_.network_[1] for model in (frozen, tuned))
    assert torch.equal(before.running_mean, after.running_mean) == stay
    assert torch.equal(before.running_var, after.running_var) == stay
    assert not torch.equal(before.weight, after.weight)


def test_fine_tuning_stops_early_at_the_best_weights(faces):
    model = make_classifier(
        fine_tune=True, epochs=30, learning_rate=0.05, early_stopping=True, head=TransferHead(patience=2)
    ).fit(*faces)
    losses = [record["validation_loss"] for record in model.history_]
    assert len(losses) < 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_callable_augment_gets_each_image_with_its_own_numbers(faces):
    seen = []

    def augment(image, rng):
        seen.append(rng.random())
        return image

    make_classifier(fine_tune=True, augment=augment, epochs=4).fit(*faces)
    assert len(seen) == len(set(seen)) == 4 * 32  # four epochs of a batch of 32


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"head": LogisticRegression(), "fine_tune": True}, "trains a TransferHead, not LogisticRegression"),
        ({"head": LogisticRegression(), "epochs": 3}, "epochs set a TransferHead; give LogisticRegression its own"),
        ({"augment": lambda image, rng: image, "fine_tune": False}, "a callable augment is for fine_tune=True"),
        ({"augment": "device"}, "augment='device' is for fine_tune=True; use 'auto' or None with a frozen backbone"),
        ({"fine_tune": "yes"}, "fine_tune='yes' is unknown; use True, False or 'auto'"),
        (
            {"fine_tune": True, "augment": "heavy"},
            "augment='heavy' is unknown; use 'auto', 'device', None or a callable",
        ),
        ({"device": "gpu"}, "device='gpu' is unknown"),
        ({"precision": "half"}, "precision='half' is unknown"),
        ({"head": sklearn.linear_model.Ridge()}, "head Ridge has no predict_proba"),
    ],
)
def test_parameters_that_exclude_each_other_are_named(faces, params, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(**params).fit(*faces)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["mask"] * 4, "y holds 1 class, .*mask.*; want two or more"),
        (["mask", "bare", "mask"], "X has 4 images and y 3 labels; want one label per image"),
        (["mask", None, "bare", "bare"], r"y\[1\] is None; want a label for every image"),
        (["mask", float("nan"), "bare", "bare"], r"y\[1\] is nan; want a label for every image"),
        (["mask", 1, "bare", 2], "y mixes labels of int, str; want all str or all int"),
        ([0.5, 1.5, 2.5, 3.7], "Unknown label type: continuous"),
    ],
)
def test_wrong_labels_are_named(faces, labels, message):
    with pytest.raises(ValueError, match=message):
        make_classifier().fit(faces[0][:4], labels)


def test_missing_and_broken_files_are_named(fitted, face_paths, tmp_path):
    good = face_paths[0][0]
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        fitted.predict([good, tmp_path / "gone.png"])
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"broken\.png: cannot be read as an image"):
        make_classifier().fit([good, tmp_path / "broken.png"], ["a", "b"])
    with pytest.raises(TypeError, match="X is one image"):
        fitted.predict(str(good))


def test_unknown_plugins_are_named_with_the_known_ones(faces):
    with pytest.raises(
        PluginError, match="backbone 'resnet5O' is unknown; installed: efficientnet_lite0, resnet50, timm"
    ):
        make_classifier(backbone="resnet5O").fit(*faces)
    with pytest.raises(PluginError, match="detector 'mtcnn' is unknown; installed: centerface, dlib_cnn"):
        make_classifier(detector="mtcnn").fit(*faces)


def test_verbose_counts_epochs_on_standard_error(faces, capsys):
    make_classifier(epochs=2, verbose=1).fit(*faces)
    assert capsys.readouterr().err.count("epoch ") == 2


def test_real_faces_are_learnt(data_dir):
    """400 real crops are enough for 97 % on the validation part."""
    from maskkit.datasets import load_faces

    faces = load_faces(data_dir / "face-mask-12k")
    model = MaskClassifier("efficientnet_lite0", image_size=128, fine_tune=False, random_state=0)
    model.fit(faces.train.paths[:400], faces.train.labels[:400])
    assert model.score(faces.validation.paths[:200], faces.validation.labels[:200]) > 0.97


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": 0}, "image_size == 0, must be >= 8"),
        ({"batch_size": 0}, "batch_size == 0, must be >= 1"),
        ({"epochs": -1}, "epochs == -1, must be >= 1"),
        ({"learning_rate": -1.0}, "learning_rate == -1.0, must be > 0"),
        ({"validation_fraction": 1.0}, "validation_fraction == 1.0, must be < 1"),
        ({"augment": "none"}, "augment='none' is unknown"),
        ({"class_weight": "balance"}, "class_weight='balance' is unknown"),
    ],
)
def test_wrong_parameters_are_named(faces, params, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(**params).fit(*faces)


def test_a_class_is_no_detector(faces):
    with pytest.raises(PluginError, match=r"detector is the class FixedDetector; want a name .* or an instance"):
        make_classifier(detector=FixedDetector).fit(*faces)


def test_uncertain_faces_say_why(faces):
    model = make_classifier(detector=FixedDetector([(0, 0, 40, 40), (0, 0, 9, 9)]), min_size_px=10).fit(*faces)
    large, small = model.predict_faces(faces[0][0])
    assert (large.decision, large.reasons) == (large.label, ())
    assert (small.decision, small.reasons) == ("uncertain", ("too_small",))
    model.set_params(threshold=1.0)
    assert all("low_probability" in face.reasons for face in model.predict_faces(faces[0][0]))
    assert model.predict_faces(faces[0][0]).summary() == {"uncertain": 2}


def test_calibration_changes_no_label(faces):
    model = make_classifier().fit(*faces)
    new_faces, new_labels = make_faces(40, random_state=3)
    new_labels = new_labels.copy()
    new_labels[:10] = np.roll(new_labels[:10], 1)  # some are wrong, so that certainty is wrong too
    before = model.predict_proba(new_faces)
    after = model.calibrate(new_faces, new_labels).predict_proba(new_faces)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    columns = (new_labels == model.classes_[1]).astype(int)
    rows = np.arange(len(columns))
    assert np.log(after[rows, columns]).mean() > np.log(before[rows, columns]).mean()
    with pytest.raises(ValueError, match="y holds 'hat'"):
        model.calibrate(new_faces, ["hat"] * 40)


def test_threshold_is_chosen_for_a_precision(fitted):
    new_faces, new_labels = make_faces(40, random_state=3)
    assert fitted.choose_threshold(new_faces, new_labels, precision=0.9) == 0


def test_calibration_needs_one_known_label_per_image(fitted):
    new_faces, new_labels = make_faces(40, random_state=3)
    with pytest.raises(ValueError, match="X has 40 images and y 39 labels"):
        fitted.choose_threshold(new_faces, new_labels[:39], precision=0.9)
    with pytest.raises(ValueError, match="no label in y is a class of the classifier"):
        fitted.calibrate(new_faces, ["mask_weared_incorrect"] * 40)


def test_sklearn_heads_have_their_own_calibration(faces):
    model = make_classifier(head=LogisticRegression()).fit(*faces)
    with pytest.raises(ValueError, match=r"calibrate works on a TransferHead.*CalibratedClassifierCV"):
        model.calibrate(*faces)


def test_every_layer_is_trained_by_default_except_with_a_head_of_scikit_learn(faces):
    tuned = MaskClassifier(TinyBackbone(), weights=None, epochs=1, detector="whole", random_state=0).fit(*faces)
    assert tuned.fine_tuned_
    assert tuned.embedder_.preprocess_.image_size == 160
    frozen_head = make_classifier(head=LogisticRegression(), fine_tune="auto").fit(*faces)
    assert not frozen_head.fine_tuned_


def test_settings_of_a_head_that_nobody_would_heed_are_refused(faces):
    with pytest.raises(ValueError, match="ignores epochs, weight_decay of its head; set them on MaskClassifier"):
        make_classifier(fine_tune=True, head=TransferHead(epochs=5, weight_decay=0.5)).fit(*faces)


def test_a_failed_fit_leaves_the_model_of_before(faces):
    broken = [*faces[0][:-1], "gone.png"]
    model = make_classifier()
    with pytest.raises(ImageError):
        model.fit(broken, faces[1])
    with pytest.raises(NotFittedError):
        model.predict(faces[0])
    wanted = model.fit(*faces).predict_proba(faces[0])
    with pytest.raises(ImageError):
        model.fit(broken, ["a", "b"] * 20)
    np.testing.assert_array_equal(model.predict_proba(faces[0]), wanted)
