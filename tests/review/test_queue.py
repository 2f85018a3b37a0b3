"""The order of the faces, and the reasons that are shown."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from maskkit.datasets import AnnotatedPhoto
from maskkit.review import FaceKey, detect_faces, list_annotated_faces, list_crops, match_answers, order_faces
from tests.conftest import make_classifier
from tests.review.conftest import draw_crops, make_queue


@dataclass
class FakePredictor:
    """Returns given probabilities and features."""

    proba: NDArray[np.float64]
    features: NDArray[np.float32]
    classes = np.array(["with_mask", "without_mask"])

    def iterate_batches(self, images):
        assert len(list(images)) == len(self.proba)
        yield self.proba[:5], self.features[:5]
        yield self.proba[5:], self.features[5:]


def rows(*values):
    return np.array([[value, 1 - value] for value in values])


def test_label_errors_come_first_then_mistakes_uncertain_faces_and_the_rest(tmp_path):
    paths, labels = draw_crops(tmp_path, 60)
    wrong = {4: "without_mask", 7: "with_mask"}  # the audit suspects one, the model finds the other
    given = [wrong.get(index, label) for index, label in enumerate(labels)]
    proba = rows(*(0.995 if label == "with_mask" else 0.005 for label in labels))
    proba[10], proba[12], proba[14], proba[16] = rows(0.2, 0.05, 0.55, 0.93)
    queue = order_faces(list_crops(paths, given), FakePredictor(proba, np.ones((60, 2), np.float32)))
    order = [int(queued.face.key.path.stem) for queued in queue]
    reasons = {reason: [index for index, one in zip(order, queue, strict=True) if one.reason == reason]
               for reason in ("suspect", "mistake", "uncertain", "other")}  # fmt: skip
    assert reasons["suspect"] == [7]
    assert reasons["mistake"] == [4, 12, 10]
    assert reasons["uncertain"] == [14]
    assert reasons["other"][0] == 16
    assert [one.reason for one in queue] == sorted((one.reason for one in queue), key=list(reasons).index)
    texts = {index: one.text for index, one in zip(order, queue, strict=True)}
    assert texts[7] == "labeled with_mask, similar faces are without_mask, the model says without_mask .99"
    assert texts[12] == "labeled with_mask, the model says without_mask .95"
    assert texts[14] == "labeled with_mask, the model is uncertain: with_mask .55, without_mask .45"
    assert texts[16] == "labeled with_mask, the model says with_mask .93"


def test_first_uncertain_faces_differ_from_each_other(tmp_path):
    paths, _ = draw_crops(tmp_path, 16)
    # The first half is alike and less certain: by uncertainty alone, it would come first.
    proba = rows(*np.linspace(0.5, 0.52, 8), *np.linspace(0.6, 0.62, 8))
    features = np.repeat(np.eye(2, dtype=np.float32) * 10, 8, axis=0)
    features += np.random.default_rng(0).normal(0, 0.1, features.shape).astype(np.float32)
    queue = order_faces(list_crops(paths), FakePredictor(proba, features))
    kinds = [int(one.face.key.path.stem) // 8 for one in queue]
    assert set(kinds[:4]) == {0, 1}
    assert {one.text.partition(":")[0] for one in queue} == {"the model is uncertain"}


def test_labels_in_other_words_are_no_mistakes(tmp_path):
    paths, labels = draw_crops(tmp_path, 8)
    words = {"with_mask": "WithMask", "without_mask": "helmet"}
    proba = rows(*(0.99 if label == "with_mask" else 0.01 for label in labels))
    predictor = FakePredictor(proba, np.ones((8, 2), np.float32))
    queue = order_faces(list_crops(paths, [words[label] for label in labels]), predictor)
    assert {one.reason for one in queue} == {"other"}


def test_copies_are_one_group(tmp_path, taught):
    paths, labels = draw_crops(tmp_path, 12)
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[3].read_bytes())
    groups = {
        one.face.key.path.name: one.face.group for one in make_queue([*paths, copy], [*labels, labels[3]], taught)
    }
    assert groups["copy.png"] == groups["3.png"]
    assert groups["4.png"] != groups["3.png"]


def test_answered_boxes_stand_for_the_faces_that_they_overlap(tmp_path):
    (photo, other), _ = draw_crops(tmp_path, 2)
    faces = list_annotated_faces([AnnotatedPhoto(photo, [[0, 0, 30, 30], [30, 30, 60, 60]], ["with_mask"] * 2)])
    drawn = FaceKey(photo, (2.0, 1.0, 31.0, 30.5))
    gone = FaceKey(photo, (40.0, 0.0, 60.0, 20.0))
    elsewhere = FaceKey(other, (0.0, 0.0, 30.0, 30.0))
    keys = [face.key for face in match_answers(faces, [drawn, gone, elsewhere])]
    assert keys == [drawn, FaceKey(photo, (30.0, 30.0, 60.0, 60.0)), gone]


def test_faces_of_photos_are_found_by_the_detector(tmp_path):
    paths, _ = draw_crops(tmp_path, 3)
    predictor = make_classifier(detector="whole").fit(paths, ["a", "b", "a"]).predictor_
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"left out: .*broken\.png"):
        faces = detect_faces([*paths, tmp_path / "broken.png"], predictor)
    assert [face.key for face in faces] == [FaceKey(path, (0.0, 0.0, 64.0, 64.0)) for path in paths]
