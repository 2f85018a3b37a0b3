"""Training, scores and calibration on annotated photos."""

import pickle
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from maskkit import evaluate
from maskkit.datasets import AnnotatedPhoto
from maskkit.exceptions import DataError, ImageError
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.datasets.photos import draw_photos


class Recorder:
    """A classifier that keeps the images that `evaluate` gives it."""

    classes_ = np.array(["with_mask", "without_mask"])

    def predict_proba(self, X):
        self.images = X
        return np.tile([0.7, 0.3], (len(X), 1))


@pytest.mark.parametrize("params", [{}, {"fine_tune": True, "epochs": 1}])
def test_faces_are_cut_for_training_as_for_evaluation(tmp_path, params):
    photos, recorder = draw_photos(tmp_path, 12), Recorder()
    evaluate(recorder, photos, n_resamples=1)
    labels = [label for photo in photos for label in photo.labels]
    on_crops = make_classifier().set_params(**params).fit(recorder.images, labels)
    on_photos = make_classifier().set_params(**params).fit(photos)
    assert on_photos.class_counts_.tolist() == [12, 12]
    np.testing.assert_array_equal(on_photos.predict_proba(recorder.images), on_crops.predict_proba(recorder.images))
    assert on_photos.score(photos) == on_crops.score(recorder.images, labels)
    assert evaluate(on_photos, photos, n_resamples=1).estimates["accuracy"].value == on_photos.score(photos)


def test_early_stopping_holds_out_whole_photos_with_every_class_on_both_sides(tmp_path):
    Image.fromarray(make_faces(1)[0][0]).save(tmp_path / "face.png")
    boxes = [(8, 4, 56, 62)] * 5
    photos = [AnnotatedPhoto(tmp_path / "face.png", boxes, [label] * 5) for label in ("a", "b") * 2]
    model = make_classifier().set_params(early_stopping=True, validation_fraction=0.3)
    # A stratified split of the 20 faces would hold out three of each class.
    for fine_tune in (False, True):
        fitted = model.set_params(fine_tune=fine_tune, epochs=1).fit(photos)
        assert np.sum(fitted.history_[0]["validation_confusion"], axis=1).tolist() == [5, 5]
    mixed = AnnotatedPhoto(tmp_path / "face.png", boxes * 2, ["a", "b"] * 5)
    with pytest.raises(ValueError, match="10 examples in 1 photos, 3, so that"):
        model.fit([mixed])


def test_photos_are_not_held_in_memory(tmp_path):
    Image.new("RGB", (800, 800), "gray").save(tmp_path / "large.png")
    photos = [
        AnnotatedPhoto(tmp_path / "large.png", [(50, 50, 700, 700)], [label])
        for label in ("with_mask", "without_mask") * 20
    ]
    model = make_classifier(cache=None).fit(*make_faces(8))
    tracemalloc.start()
    try:
        model.fit(photos)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Together, the photos have 77 MB and the crops 67 MB.
    assert peak < 40e6


def test_folds_are_split_by_photo(tmp_path):
    photos = draw_photos(tmp_path, 8)
    scores = cross_val_score(make_classifier(), photos, cv=KFold(2))
    assert len(scores) == 2
    assert 0 <= scores.min() <= scores.max() <= 1
    search = GridSearchCV(make_classifier(), {"class_weight": [None, "balanced"]}, cv=2).fit(photos)
    assert search.best_estimator_.class_counts_.tolist() == [8, 8]


def test_each_face_has_the_weight_of_its_photo(tmp_path):
    photos = draw_photos(tmp_path, 4)[:4]
    half = make_classifier().fit(photos, sample_weight=[1, 1, 0, 0])
    sources = [pickle.loads(pickle.dumps(photo)) for photo in photos]
    faces = make_classifier().fit(sources, sample_weight=np.array([2, 2, 0, 0]))
    np.testing.assert_array_equal(half.predict_proba(make_faces(4)[0]), faces.predict_proba(make_faces(4)[0]))
    right = [half.score([photo]) for photo in photos]
    assert half.score(photos, sample_weight=[0, 0, 1, 3]) == pytest.approx((right[2] + 3 * right[3]) / 4)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(8,\); want \(4,\), one per photo"):
        make_classifier().fit(photos, sample_weight=np.ones(8))


def test_calibration_on_photos(tmp_path):
    photos = draw_photos(tmp_path, 4)
    model = make_classifier().fit(photos)
    assert 0 <= model.choose_threshold(photos, uncertain_cost=0.3) <= 1
    assert model.calibrate(photos) is model


def test_y_that_is_missing_or_superfluous(tmp_path, faces):
    photos, model = draw_photos(tmp_path, 2), make_classifier().fit(*faces)
    for function in (model.fit, model.score, model.calibrate):
        with pytest.raises(ValueError, match=r"requires y to be passed, .* want one label per image\."):
            function(faces[0])
        with pytest.raises(ValueError, match=r"X holds annotated photos, .* y is given; omit y"):
            function(photos, ["with_mask"] * 3)
        with pytest.raises(ValueError, match="none of the 1 photos has an annotated face"):
            function(photos[-1:])
    with pytest.raises(ValueError, match="X mixes annotated photos with other images; want a list of one kind"):
        model.fit([*photos, "a.png"], ["with_mask"] * 4)
    with pytest.raises(ImageError, match="is an annotated photo; pass its path to predict_photos"):
        model.predict(photos)


def test_photos_that_cannot_be_used_are_named(tmp_path):
    photos = draw_photos(tmp_path, 2)
    outside = AnnotatedPhoto(photos[0].path, [(500, 500, 600, 600)], ["with_mask"])
    with pytest.raises(DataError, match=r"0\.png: the box .* lies outside the 144 x 72 pixels"):
        make_classifier().fit([outside, photos[1]])
    photos[1].path.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"1\.png: cannot be read as an image"):
        make_classifier().fit(photos)
