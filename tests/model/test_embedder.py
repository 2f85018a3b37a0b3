"""FaceEmbedder turns images into features, in a pipeline or by itself."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from maskkit import FaceEmbedder
from maskkit.backbones import EfficientNetLite0Backbone
from maskkit.exceptions import ImageError, WeightsError
from maskkit.testing import TinyBackbone


def make_embedder(**params):
    return FaceEmbedder(TinyBackbone(), **{"weights": None, "random_state": 0, "precision": "float32", **params})


def test_features_are_float32_rows_in_order(faces):
    features = make_embedder(batch_size=7).fit_transform(faces[0])
    assert features.shape == (40, 64)
    assert features.dtype == np.float32
    alone = make_embedder().fit(faces[0]).transform([faces[0][33]])
    np.testing.assert_allclose(features[33], alone[0], rtol=1e-4, atol=1e-5)


def test_paths_and_arrays_give_the_same_features(faces, face_paths):
    embedder = make_embedder().fit(faces[0])
    np.testing.assert_array_equal(embedder.transform(face_paths[0]), embedder.transform(faces[0]))


def test_works_in_a_pipeline_by_itself():
    from maskkit.testing import make_faces

    images, labels = make_faces(24)
    pipeline = make_pipeline(FaceEmbedder("efficientnet_lite0", image_size=64), LogisticRegression())
    assert pipeline.fit(images[:16], labels[:16]).score(images[16:], labels[16:]) == 1.0


def test_set_output_names_the_columns(faces):
    pytest.importorskip("pandas")
    table = make_embedder().set_output(transform="pandas").fit_transform(faces[0][:3])
    assert table.shape == (3, 64)
    assert table.columns[0] == "faceembedder0"


def test_random_weights_follow_the_seed(faces):
    first, same, other = (make_embedder(random_state=seed).fit_transform(faces[0][:2]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_stream_takes_a_generator_and_gives_batches(faces):
    embedder = make_embedder(batch_size=16).fit(faces[0])
    batches = list(embedder.stream(image for image in faces[0]))
    assert [len(batch) for batch in batches] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(batches), embedder.transform(faces[0]))


def test_the_engine_chooses_the_batch_size_unless_the_user_does(faces, monkeypatch):
    embedder = make_embedder().fit(faces[0])
    assert [len(batch) for batch in embedder.stream(faces[0])] == [32, 8]
    monkeypatch.setattr(embedder.engine_, "batch_size", 25)
    assert [len(batch) for batch in embedder.stream(faces[0])] == [25, 15]


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_features_are_near_float32(faces, engine):
    exact, rounded = (
        FaceEmbedder("efficientnet_lite0", image_size=64, engine=engine, precision=precision).fit_transform(
            faces[0][:8]
        )
        for precision in ("float32", "bfloat16")
    )
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.99
    # OpenVINO computes in float32 on processors without instructions for bfloat16.
    assert engine == "openvino" or not np.array_equal(exact, rounded)


def test_unreadable_image_is_named_by_its_place(faces):
    embedder = make_embedder().fit(faces[0])
    with pytest.raises(ImageError, match="image 2 "):
        embedder.transform([faces[0][0], faces[0][1], np.zeros((3, 3))])


def test_clone_pickle_and_unfitted(faces):
    embedder = make_embedder()
    with pytest.raises(NotFittedError):
        embedder.transform(faces[0])
    assert clone(embedder).get_params()["random_state"] == 0
    embedder.fit(faces[0])
    reopened = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(reopened.transform(faces[0][:4]), embedder.transform(faces[0][:4]))


@pytest.fixture
def built(monkeypatch):
    """List the networks that are built, in what looks like a new process."""
    networks, build = [], EfficientNetLite0Backbone.build

    def build_and_list(self, weights):
        networks.append(build(self, weights))
        return networks[-1]

    monkeypatch.setattr(EfficientNetLite0Backbone, "build", build_and_list)
    monkeypatch.setattr("maskkit._model.fitted_backbone._BUILT", {})
    return networks


def make_lite0(**params):
    return FaceEmbedder("efficientnet_lite0", **{"image_size": 64, "precision": "float32", "cache": None, **params})


def test_a_network_that_was_built_before_is_built_again_when_it_is_needed(built, faces):
    first = make_lite0().fit(faces[0])
    features = first.transform(faces[0][:4])
    second = make_lite0().fit(faces[0])
    np.testing.assert_array_equal(second.transform(faces[0][:4]), features)
    assert second._fitted.fingerprint == first._fitted.fingerprint
    assert len(built) == 1
    reopened = pickle.loads(pickle.dumps(second))
    assert second._fitted.fingerprint == reopened._fitted.fingerprint == first._fitted.fingerprint
    np.testing.assert_allclose(reopened.set_params(engine="torch").transform(faces[0][:4]), features, atol=1e-3)
    assert len(built) == 2
    # Networks are not shared: a change of one changes no other.
    with torch.no_grad():
        next(first.network_.parameters()).zero_()
    third = make_lite0(engine="torch").fit(faces[0])
    np.testing.assert_allclose(third.transform(faces[0][:4]), features, atol=1e-3)


def test_a_network_that_was_replaced_meanwhile_is_an_error_until_the_next_fit(built, faces, monkeypatch):
    known = {}
    monkeypatch.setattr("maskkit._model.fitted_backbone._BUILT", known)
    make_lite0().fit(faces[0])
    known[next(iter(known))] = ("other layers", "other weights")
    embedder = make_lite0().fit(faces[0])
    with pytest.raises(WeightsError, match=r"weights of EfficientNetLite0Backbone are no longer .* call fit again"):
        _ = embedder.network_
    assert make_lite0().fit(faces[0]).network_ is built[-1]


class OwnLite0(EfficientNetLite0Backbone):
    """A subclass, which may build another network."""


def test_networks_that_may_change_are_built_in_every_fit(built, faces, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(make_lite0().fit(faces[0]).network_.state_dict(), file)
    tuned = EfficientNetLite0Backbone()
    tuned.width = 2
    for params in ({"weights": None}, {"weights": file}, {"backbone": OwnLite0()}, {"backbone": tuned}):
        built.clear()
        for _ in range(2):
            FaceEmbedder(**{"backbone": "efficientnet_lite0", **params}).fit(faces[0])
        assert len(built) == 2, params


def test_network_does_not_learn_from_prediction(faces):
    embedder = make_embedder().fit(faces[0])
    before = {name: value.clone() for name, value in embedder.network_.state_dict().items()}
    embedder.transform(faces[0])
    assert all(torch.equal(value, before[name]) for name, value in embedder.network_.state_dict().items())


def test_changed_copies_are_the_same_each_time_and_differ_between_images(faces):
    embedder = make_embedder(cache=None).fit(faces[0])
    images = [faces[0][0], faces[0][1], faces[0][0]]
    rows = np.concatenate([batch.features for batch in embedder._extractor().extract(images, with_copies=True)])
    plain, (first, second, again) = rows[::2], rows[1::2]
    np.testing.assert_allclose(plain, embedder.transform(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first, again, rtol=1e-5, atol=1e-6)
    assert np.abs(first - plain[0]).max() > 1e-3
    assert np.abs(second - first).max() > 1e-3
