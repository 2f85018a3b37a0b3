"""Photo evaluations count faces found and rightly judged, and give intervals over photos."""

import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from maskkit import FaceResult, MaskClassifier, PhotoResult, evaluate_photos
from maskkit.datasets import AnnotatedPhoto
from maskkit.exceptions import ImageError
from tests.evaluation.test_evaluation import CLASSES, render


def face(box, label, probability=0.9, score=0.9):
    other = CLASSES[1 - CLASSES.index(label)]
    return FaceResult(box, score, label, probability, {label: probability, other: 1 - probability})


class Finder:
    """A classifier that finds, in photo number n, the n-th list of faces."""

    classes_ = np.array(CLASSES)

    def __init__(self, *found, errors=None):
        self.found = found
        self.errors = errors or {}

    def predict_photos(self, photos):
        for index, photo in enumerate(photos):
            yield PhotoResult(
                tuple(self.found[index]), photo, str(photo), (1000, 100), "m", "d", error=self.errors.get(index)
            )


def annotated(*faces):
    boxes = np.array([box for box, _ in faces], dtype=np.float32).reshape(-1, 4)
    return AnnotatedPhoto(path="photo.jpg", boxes_xyxy=boxes, labels=np.array([label for _, label in faces], dtype=str))


A, B, C = (0, 0, 10, 10), (20, 0, 50, 30), (0, 30, 70, 100)


@pytest.fixture(scope="module")
def photo_evaluation():
    photos = [
        annotated((A, "with_mask"), (B, "without_mask"), (C, "mask_weared_incorrect")),
        annotated((A, "with_mask"), (C, "with_mask")),
        annotated(),
    ]
    model = Finder(
        [face(A, "with_mask"), face(B, "with_mask", 0.6), face(C, "with_mask")],  # right, wrong, unknown class
        [face(C, "with_mask", score=0.5)],  # A missed
        [face(B, "without_mask", score=0.4)],  # nobody there
    )
    return evaluate_photos(model, photos, n_resamples=200)


def test_a_face_with_a_second_box_is_detected_twice():
    photos = [annotated((A, "with_mask"), (C, "with_mask"))]
    inside = (10, 60, 30, 80)  # in C
    beside = (60, 0, 90, 30)  # touches no face
    model = Finder(
        [face(box, "with_mask", score=score) for box, score in ((A, 0.9), (C, 0.8), (inside, 0.7), (beside, 0.6))]
    )
    evaluation = evaluate_photos(model, photos, n_resamples=200)
    metrics = evaluation.metrics()
    assert metrics["duplicate_rate"].value == pytest.approx(1 / 2)
    assert metrics["duplicate_rate/64+ px"].value == 1
    assert metrics["duplicate_rate/<16 px"].value == 0
    by_size = next(table for table in evaluation.tables() if table.title == "By face size")
    column = by_size.columns.index("twice")
    assert {row[0]: row[column] for row in by_size.rows} == {"<16 px": 0, "16-32 px": 0, "32-64 px": 0, "64+ px": 1}


def test_a_missed_face_is_not_detected_twice():
    photos = [annotated((C, "with_mask"))]
    pieces = [face((10, 40, 25, 55), "with_mask"), face((40, 70, 60, 90), "with_mask")]
    metrics = evaluate_photos(Finder(pieces), photos, n_resamples=200).metrics()
    assert metrics["detection_recall"].value == 0
    assert metrics["duplicate_rate"].value == 0


def test_photos_are_counted_by_hand(photo_evaluation):
    metrics = photo_evaluation.metrics()
    assert (photo_evaluation.n_photos, photo_evaluation.n_faces, photo_evaluation.n_unknown) == (3, 5, 1)
    assert metrics["detection_recall"].value == pytest.approx(4 / 5)
    assert metrics["detection_precision"].value == pytest.approx(4 / 5)
    assert metrics["end_to_end_recall"].value == pytest.approx(2 / 4)
    assert metrics["accuracy_on_detected"].value == pytest.approx(2 / 3)
    assert metrics["end_to_end_recall/with_mask"].value == pytest.approx(2 / 3)
    assert metrics["end_to_end_recall/without_mask"].value == 0
    assert photo_evaluation.confusion.tolist() == [[2, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_photo_figures_over_classes(photo_evaluation):
    metrics = photo_evaluation.metrics()
    # with_mask: 2 right, 1 missed, 1 wrongly said; without_mask: none right.
    assert metrics["f1"].value == pytest.approx((2 * 2 / (2 * 2 + 1 + 1) + 0) / 2)
    assert metrics["balanced_accuracy"].value == pytest.approx((1 + 0) / 2)
    # with_mask, by score times probability: right 0.81, wrong 0.54, right 0.45; three to find.
    assert metrics["ap50/with_mask"].value == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert metrics["ap50/without_mask"].value == 0
    assert metrics["map50"].value == pytest.approx((1 / 3 + 2 / 9) / 2)
    # Any class: three right at 0.9, one at 0.5, one wrong at 0.4; five to find.
    assert metrics["detection_ap50"].value == pytest.approx(4 / 5)


def test_figures_know_what_they_were_counted_on(photo_evaluation):
    counted_on = {name: estimate.n for name, estimate in photo_evaluation.metrics().items()}
    assert counted_on["detection_ap50"] == 5
    assert counted_on["map50"] == counted_on["f1"] == counted_on["end_to_end_recall"] == 4
    assert counted_on["f1_on_detected"] == counted_on["balanced_accuracy"] == counted_on["accuracy_on_detected"] == 3
    assert (counted_on["ap50/with_mask"], counted_on["ap50/without_mask"]) == (3, 1)


def test_photo_figures_by_size(photo_evaluation):
    metrics = photo_evaluation.metrics()
    assert [metrics[f"detection_recall/{size}"].n for size in ("<16 px", "16-32 px", "32-64 px", "64+ px")] == [
        2,
        1,
        0,
        2,
    ]
    assert metrics["detection_recall/<16 px"].value == pytest.approx(1 / 2)
    assert metrics["end_to_end_recall/64+ px"].value == 1
    assert metrics["end_to_end_recall/64+ px"].n == 1
    assert np.isnan(metrics["detection_recall/32-64 px"].value)


def test_loose_boxes_count_as_found_and_looser_ones_do_not():
    shifted = (0, 0, 10, 16)  # IoU 10 / 16
    far = (0, 0, 10, 26)  # IoU 10 / 26
    for box, found in ((shifted, 1), (far, 0)):
        result = evaluate_photos(Finder([face(box, "with_mask")]), [annotated((A, "with_mask"))], n_resamples=10)
        assert result.metrics()["detection_recall"].value == found


def test_perfect_photos_have_perfect_figures():
    photos = [annotated((A, "with_mask"), (B, "without_mask"))] * 4
    result = evaluate_photos(Finder(*[[face(A, "with_mask"), face(B, "without_mask")]] * 4), photos, n_resamples=50)
    for name in ("detection_recall", "end_to_end_recall", "map50", "f1", "balanced_accuracy", "detection_ap50"):
        assert result.metrics()[name].value == 1, name


def test_nothing_found_is_zero_not_an_error():
    result = evaluate_photos(Finder([]), [annotated((A, "with_mask"))], n_resamples=10)
    assert result.metrics()["detection_recall"].value == 0
    assert result.metrics()["map50"].value == 0
    assert np.isnan(result.metrics()["accuracy_on_detected"].value)
    json.dumps(result.to_dict(), allow_nan=False)


def average_precisions(found, *faces):
    metrics = evaluate_photos(Finder(found), [annotated(*faces)], n_resamples=10).metrics()
    return metrics["ap50/with_mask"].value, metrics["ap50/without_mask"].value


def test_average_precision_of_a_class_heeds_its_own_detections_only():
    # The surer detection of the same face says the other class: wrong there, but no hindrance here.
    found = [face(A, "without_mask", score=0.9), face(A, "with_mask", score=0.5)]
    assert average_precisions(found, (A, "with_mask"), (B, "without_mask")) == (1, 0)


def test_second_detection_of_a_face_is_wrong():
    found = [face(A, "with_mask", score=0.9), face(A, "with_mask", score=0.8), face(B, "with_mask", score=0.7)]
    with_mask, _ = average_precisions(found, (A, "with_mask"), (B, "with_mask"))
    assert with_mask == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_detection_of_an_unknown_class_is_neither_right_nor_wrong():
    found = [face(C, "with_mask", score=0.9), face(A, "with_mask", score=0.5)]
    assert average_precisions(found, (C, "mask_weared_incorrect"), (A, "with_mask"))[0] == 1


def test_class_that_no_photo_shows_has_no_curve():
    found = [face(A, "with_mask"), face(B, "without_mask")]
    result = evaluate_photos(Finder(found), [annotated((A, "with_mask"))], n_resamples=10)
    assert set(result.curves) == {"with_mask"}
    assert np.isnan(result.metrics()["ap50/without_mask"].value)
    assert result.metrics()["map50"].value == 1
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["schema_version"] == 1


def test_faces_of_one_photo_do_not_count_as_independent():
    row = [(60 * place, 0, 60 * place + 50, 50) for place in range(10)]
    crowd, alone = [annotated(*((box, "with_mask") for box in row))] * 20, [annotated((A, "with_mask"))] * 200
    seen, missed = [face(box, "with_mask") for box in row], []
    crowds = evaluate_photos(Finder(*[seen, missed] * 10), crowd).metrics()["map50"]
    singles = evaluate_photos(Finder(*[[face(A, "with_mask")], []] * 100), alone).metrics()["map50"]
    assert crowds.value == singles.value == 0.5
    assert crowds.n == singles.n == 200
    # A share of one half over so many photos, each all or nothing; it moves in steps of 1/20 and 1/200.
    for estimate, n_photos in ((crowds, 20), (singles, 200)):
        expected = 2 * 1.96 * np.sqrt(0.25 / n_photos)
        assert estimate.high - estimate.low == pytest.approx(expected, abs=0.02 + 1 / n_photos)


def test_unfitted_classifier_is_named():
    with pytest.raises(NotFittedError, match="want a fitted classifier"):
        evaluate_photos(MaskClassifier(), [annotated((A, "with_mask"))])


def test_unreadable_photo_and_unknown_classes_are_errors():
    with pytest.raises(ImageError, match=r"photo\.jpg: no such file"):
        evaluate_photos(Finder([], errors={0: "photo.jpg: no such file"}), [annotated((A, "with_mask"))])
    with pytest.raises(ValueError, match="no annotated face has a class of the classifier"):
        evaluate_photos(Finder([]), [annotated((A, "hat"))])


def test_photo_tables_fit_80_columns(photo_evaluation):
    text = render(photo_evaluation)
    assert max(map(len, text.splitlines())) <= 80
    assert "end-to-end recall" in text
    assert "counted for detection only: 1." in " ".join(text.split())
