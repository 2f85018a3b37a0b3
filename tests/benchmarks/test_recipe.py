"""Training of the bundled model: held-out photos, corrected labels, and the steps from data to a calibrated model."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.lite0 import check, data, train
from maskkit import MaskClassifier
from maskkit.datasets import AnnotatedPhoto, load_photos
from maskkit.detectors import WholeImageDetector
from maskkit.testing import TinyBackbone, make_faces

NAMES = ("with_mask", "without_mask", "mask_weared_incorrect")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Twenty photos of three drawn faces in a row, the same in both sets."""
    faces, labels = make_faces(60, classes=NAMES, size_px=48)
    photos = []
    for index in range(20):
        chosen = slice(3 * index, 3 * index + 3)
        Image.fromarray(np.hstack(faces[chosen])).save(tmp_path / f"{index}.png")
        boxes = np.array([[48 * place, 0, 48 * place + 48, 48] for place in range(3)], np.float32)
        photos.append(AnnotatedPhoto(tmp_path / f"{index}.png", boxes, labels[chosen]))
    monkeypatch.setattr(data, "load_photos", lambda folder: photos)
    return photos


def test_photos_are_split_completely_and_once_and_twins_stay_together(photos, monkeypatch):
    monkeypatch.setattr(data, "_read_twins", lambda: {"5.png": "4.png"})
    parts = data.split_photos(Path("photos"))
    assert {name: len(part) for name, part in parts.items()} == {"train": 13, "choose": 2, "report": 5}
    assert {photo.path for part in parts.values() for photo in part} == {photo.path for photo in photos}
    assert [photo.path.stem for photo in parts["report"]] == ["4", "5", "9", "14", "19"]


def test_corrected_labels_replace_those_of_the_set_and_empty_ones_leave_a_box_out(photos, monkeypatch):
    monkeypatch.setattr(data, "_read_corrections", lambda: data.defaultdict(dict, {"4.png": {0: "", 2: "with_mask"}}))
    corrected = data.split_photos(Path("photos"))["report"][0]
    np.testing.assert_array_equal(corrected.boxes_xyxy, photos[4].boxes_xyxy[1:])
    assert corrected.labels[1] == "with_mask"
    assert corrected.labels[0] == photos[4].labels[1].replace("mask_weared_incorrect", data.INCORRECT_NAME)


def test_detected_boxes_are_those_that_match_annotated_ones(photos):
    annotated = np.array([[0, 0, 48, 48], [10, 0, 140, 48]], np.float32)
    found = data._find_boxes(WholeImageDetector(), np.zeros((48, 144, 3), np.uint8), annotated)
    np.testing.assert_array_equal(found, [[0, 0, 48, 48], [0, 0, 144, 48]])


def test_training_reads_no_photo_of_the_report(photos, tmp_path, monkeypatch):
    read = set()
    for module, name in ((data, "load_image"), (train, "cut_faces")):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda path, *rest, function=function: read.add(path) or function(path, *rest)
        )
    monkeypatch.setattr(train, "_PRECISION", 0.1)
    for index, (face, label) in enumerate(zip(*make_faces(12, classes=("WithMask", "WithoutMask")), strict=True)):
        folder = tmp_path / "face-mask-12k" / "Train" / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(folder / f"{index}.png")
    model = MaskClassifier("efficientnet_lite0", epochs=1, image_size=32, fine_tune=False, random_state=0)
    train.train(tmp_path, model, detect=False)
    assert model.classes_.tolist() == ["mask_worn_incorrectly", "with_mask", "without_mask"]
    assert model.class_counts_.sum() == 12 + 14 * (8 + 1 + 3) + 14 * (4 + 1 + 1)
    assert model.min_size_px > 0
    assert len(read) == 16
    assert not read & {photo.path for photo in data.split_photos(tmp_path)["report"]}
    table = check.tell_masks_apart(model, data.split_photos(tmp_path)["report"])
    assert [row[0] for row in table.rows][-1] == "called incorrectly worn"
    assert [row[2].n for row in table.rows] == [4] * 4


def test_classes_are_predicted_as_often_as_they_are():
    crops, labels = make_faces(60, classes=NAMES, size_px=32)
    model = MaskClassifier(TinyBackbone(), epochs=2, image_size=32, fine_tune=False, weights=None, random_state=0)
    model.fit(crops, labels)
    with torch.no_grad():
        model.head_.network_[-1].bias[0] += 2
    shares = [np.mean(np.array(labels) == name) for name in model.classes_]
    assert model.predict_proba(crops).mean(axis=0)[0] > shares[0] + 0.1
    train.shift_classes(model, crops, [str(label) for label in labels])
    # At the minimum of the log loss over biases, mean probabilities are the shares of the classes.
    np.testing.assert_allclose(model.predict_proba(crops).mean(axis=0), shares, atol=0.01)


def test_corrections_and_twins_name_photos_of_the_set(data_dir):
    photos = {photo.path.name: photo for photo in load_photos(data_dir / "face-mask-photos-2")}
    with (data.FOLDER / "corrections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 40
    for row in rows:
        assert photos[row["photo"]].labels[int(row["box"])] != row["label"]
    twins = data._read_twins()
    assert set(twins) | set(twins.values()) <= set(photos)
    assert not set(twins) & set(twins.values())
