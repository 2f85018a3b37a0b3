"""COCO annotations."""

import json

import pytest
from PIL import Image

from maskkit.datasets import describe, load_coco
from maskkit.exceptions import DataError, SkippedImageWarning
from tests.conftest import make_classifier
from tests.datasets.photos import BOXES, SIZE, assert_equal_photos, draw_photos


def make_content(photos):
    labels = sorted({label for photo in photos for label in photo.labels.tolist()})
    faces = [
        (image_id, [box[0], box[1], box[2] - box[0], box[3] - box[1]], labels.index(label) + 1)
        for image_id, photo in enumerate(photos)
        for box, label in zip(photo.boxes_xyxy.tolist(), photo.labels.tolist(), strict=True)
    ]
    return {
        "images": [
            {"id": image_id, "file_name": photo.path.name, "width": SIZE[0], "height": SIZE[1]}
            for image_id, photo in enumerate(photos)
        ],
        "annotations": [
            {"id": 10 + index, "image_id": image_id, "bbox": bbox, "category_id": category, "iscrowd": 0}
            for index, (image_id, bbox, category) in enumerate(faces)
        ],
        # Some exports begin with a category that has no annotations.
        "categories": [{"id": 0, "name": "faces"}, *({"id": i, "name": label} for i, label in enumerate(labels, 1))],
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("_annotations.coco.json", "."),
        ("a.json", "images"),
        ("annotations/a.json", "images"),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/a.json", "."),
    ],
)
def test_a_model_is_trained_on_coco(tmp_path, file, images):
    photos = draw_photos(tmp_path / images, 3)
    read = load_coco(str(write(tmp_path / file, make_content(photos))))
    assert_equal_photos(read, photos)
    assert make_classifier().fit(read).class_counts_.tolist() == [3, 3]
    assert describe(read).counts == {"all": {"with_mask": 3, "without_mask": 3}}


def test_names_of_files_with_folders_and_a_folder_that_is_passed(tmp_path):
    photos = draw_photos(tmp_path / "pictures" / "a", 1)
    content = make_content(photos)
    for name in ("a/0.png", "C:\\a\\0.png", "old/0.png"):
        content["images"][0]["file_name"] = name
        path = write(tmp_path / "coco.json", content)
        folder = "pictures" if name == "a/0.png" else "pictures/a"
        content["images"][1]["file_name"] = "a/empty.png" if name == "a/0.png" else "empty.png"
        path = write(tmp_path / "coco.json", content)
        assert_equal_photos(load_coco(path, images=tmp_path / folder), photos)
    with pytest.raises(DataError, match=r"coco\.json: old/0\.png: no such image in .*load_coco\(.*images='FOLDER'\)"):
        load_coco(path)


def change(*path, to):
    def apply(content):
        target = content
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (change("images", to=None), r"has no list images; want the lists images, annotations, categories"),
        (change("images", to=[]), r"its list images is empty"),
        (change("images", 0, to=3), r"images\[0\]: its id is None; want one value"),
        (change("images", 0, "file_name", to=""), r"images\[0\]: its file_name is ''"),
        (change("images", 1, "file_name", to="0.png"), r"images\[1\]: 0\.png is an image already"),
        (change("images", 0, "width", to=99), r"0\.png: the box .* its width and height in the file is 99 x 72"),
        (change("annotations", 1, "bbox", to=None), r"annotations\[1\] \(id 11\): its bbox is None; want four numbers"),
        (change("annotations", 1, "bbox", to=[1, 2, 3]), r"annotations\[1\] \(id 11\): its bbox is \[1, 2, 3\]; want"),
        (change("annotations", 1, "bbox", to=[1, 2, 0, 4]), r"annotations\[1\] \(id 11\): its bbox is .*above 0"),
        (change("annotations", 1, "bbox", to=[1, 2, "x", 4]), r"annotations\[1\] \(id 11\): its bbox is .*'x'"),
        (change("annotations", 1, "bbox", to=[0.1, 0.2, 0.5, 0.5]), r"0\.png: the box .* fraction of the photo"),
        (change("annotations", 1, "bbox", to=[500, 2, 30, 30]), r"0\.png .*: the box .* lies outside"),
        (change("annotations", 1, "category_id", to=7), r"annotations\[1\] \(id 11\): its category_id is 7; want"),
        (change("annotations", 1, "image_id", to=7), r"an annotation has image_id 7, which no image has"),
        (change("annotations", 1, to="face"), r"annotations\[1\] \(id None\): its category_id is None"),
        (change("categories", to=[]), r"annotations\[0\] .* want an id of categories: there are none"),
        (change("categories", 1, "name", to=None), r"categories\[1\]: its name is None"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_with_its_place(tmp_path, apply, message):
    content = make_content(draw_photos(tmp_path, 1))
    apply(content)
    with pytest.raises(DataError, match=rf"coco\.json: {message}"):
        load_coco(write(tmp_path / "coco.json", content))


@pytest.mark.parametrize(("text", "message"), [('{"images": [', "is not JSON .*line 1 column"), ("[]", "has no list")])
def test_other_files_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"coco\.json: {message}"):
        load_coco(write(tmp_path / "coco.json", text))
    with pytest.raises(DataError, match=r"none\.json: cannot be read \(No such file"):
        load_coco(tmp_path / "none.json")


def test_crowds_and_photos_that_cannot_be_read_are_left_out_with_a_warning(tmp_path):
    photos = draw_photos(tmp_path, 2)
    content = make_content(photos)
    content["annotations"][0]["iscrowd"] = 1
    path = write(tmp_path / "coco.json", content)
    with pytest.warns(UserWarning, match=r"coco\.json: 1 annotation with iscrowd, .*left out"):
        assert len(load_coco(path)[0].labels) == 1
    photos[1].path.unlink()
    del content["annotations"][0]
    with pytest.warns(SkippedImageWarning, match=r"1 of 3 photos .* left out: 1\.png"):
        assert len(load_coco(write(path, content), on_error="skip")) == 2


def test_boxes_of_turned_photos_are_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photos = draw_photos(tmp_path, 1)
    Image.open(photos[0].path).save(photos[0].path, exif=exif)
    (turned, _) = load_coco(write(tmp_path / "coco.json", make_content(photos)))
    left, top, right, bottom = BOXES[0]
    assert turned.boxes_xyxy[0].tolist() == [SIZE[1] - bottom, left, SIZE[1] - top, right]


def test_images_beside_a_relative_path_are_found(tmp_path, monkeypatch):
    photos = draw_photos(tmp_path / "images", 1)
    (tmp_path / "annotations").mkdir()
    monkeypatch.chdir(tmp_path / "annotations")
    assert_equal_photos(load_coco(write(tmp_path / "annotations" / "a.json", make_content(photos)).name), photos)
