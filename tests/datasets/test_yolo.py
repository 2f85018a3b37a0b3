"""YOLO data sets."""

import pytest
import yaml
from PIL import Image

from maskkit.datasets import collage, describe, load_yolo
from maskkit.exceptions import DataError, SkippedImageWarning
from tests.conftest import make_classifier
from tests.datasets.photos import BOXES, SIZE, assert_equal_photos, draw_photos

NAMES = ["with_mask", "without_mask"]


def write_boxes(photos, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        lines = []
        for (left, top, right, bottom), label in zip(photo.boxes_xyxy.tolist(), photo.labels.tolist(), strict=True):
            box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            values = [value / SIZE[at % 2] for at, value in enumerate(box)]
            lines.append(f"{NAMES.index(label)} {' '.join(f'{value:.6f}' for value in values)}\n")
        if lines:
            (folder / f"{photo.path.stem}.txt").write_text("".join(lines), encoding="utf-8")


def write_yaml(folder, **content):
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({"names": NAMES, "train": "images/train"} | content), encoding="utf-8")
    return path


def make_data(folder, n_photos=2, **content):
    photos = draw_photos(folder / "images" / "train", n_photos)
    write_boxes(photos, folder / "labels" / "train")
    return photos, write_yaml(folder, **content)


@pytest.mark.parametrize(
    ("layout", "content"),
    [
        ("{}/{}", {"train": "images/train", "val": "images/val"}),
        ("{}/{}", {"path": "faces", "train": "images/train", "val": ["images/val"], "names": dict(enumerate(NAMES))}),
        ("{1}/{0}", {"train": "../train/images", "val": "../val/images", "nc": 2}),
        ("{}/{}", {"train": "train.txt", "val": "images/val"}),
    ],
)
def test_a_model_is_trained_on_yolo_by_split(tmp_path, layout, content):
    folder = tmp_path / content.get("path", "")
    for split, n_photos in (("train", 3), ("val", 1)):
        photos = draw_photos(folder / layout.format("images", split), n_photos)
        write_boxes(photos, folder / layout.format("labels", split))
    (tmp_path / "train.txt").write_text("".join(f"images/train/{name}.png\n" for name in (0, 1, 2, "empty")))
    read = load_yolo(str(write_yaml(tmp_path, **content)))
    assert (repr(read), list(read.splits)) == ("<photos, train: 4, val: 2>", ["train", "val"])
    assert_equal_photos(read.train, draw_photos(tmp_path / "other", 3))
    assert_equal_photos(read.val, photos)
    assert make_classifier().fit(read.train).class_counts_.tolist() == [3, 3]
    assert describe(read).rows()[0] == {"split": "train", "class": "with_mask", "faces": 3, "share": 0.5}
    assert collage(read, tile_px=32).size[0] > 32


def test_the_folder_of_the_file_is_enough(tmp_path):
    photos, path = make_data(tmp_path)
    assert_equal_photos(load_yolo(tmp_path).train, photos)
    path.unlink()
    with pytest.raises(DataError, match=f"{tmp_path.name}: cannot be read .*; pass its YAML file"):
        load_yolo(tmp_path)


def test_polygons_become_boxes_and_boxes_may_be_beside_images(tmp_path):
    draw_photos(tmp_path / "photos", 1)
    (tmp_path / "photos" / "0.txt").write_text("1 0.1 0.2 0.3 0.2 0.2 0.5\n\n", encoding="utf-8")
    (photo, _) = load_yolo(write_yaml(tmp_path, train="photos")).train
    assert photo.boxes_xyxy[0].tolist() == pytest.approx([0.1 * 144, 0.2 * 72, 0.3 * 144, 0.5 * 72])
    assert photo.labels.tolist() == ["without_mask"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", r"is '0 0\.5 0\.5 0\.1'; want five numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"is .*; want five numbers, .* or the class and the points of a polygon"),
        ("mask 0.5 0.5 0.1 0.1", r"is 'mask 0\.5.*; want five numbers"),
        ("0.5 0.5 0.5 0.1 0.1", r"is .*; want five numbers"),
        ("7 0.5 0.5 0.1 0.1", r"has the class 7; want one of 0, 1, the numbers of names"),
        ("0 50 50 20 20", r"its box is \[40\.0, .*; want fractions of the photo, 0 to 1.*Divide pixels by"),
        ("0 0.5 0.5 0 0.1", r"its box is .* with a width and a height above 0"),
        ("0 nan 0.5 0.1 0.1", r"its box is \[nan"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    _, path = make_data(tmp_path)
    boxes = tmp_path / "labels" / "train" / "1.txt"
    boxes.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"1\.txt: line 2: {message}"):
        load_yolo(path)
    with pytest.warns(SkippedImageWarning, match=r"1 of 3 photos .* left out: 1\.png"):
        assert len(load_yolo(path, on_error="skip").train) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": "images/none"}, r"train: no such folder: .*images/none; correct train or path"),
        ({"val": "labels"}, r"val: contains no image in labels"),
        ({"names": "mask"}, r"its names are 'mask'; want a list of classes"),
        ({"names": {"mask": 0}}, r"its names are \{'mask': 0\}"),
        ({"train": None}, r"lists no images; want 'train: images/train'"),
        ({"train": "images/other"}, r"train: none of its 2 images has a box; want labels/NAME\.txt .*other/0\.txt"),
    ],
)
def test_a_broken_yaml_file_is_named(tmp_path, content, message):
    make_data(tmp_path)
    draw_photos(tmp_path / "images" / "other", 1)
    with pytest.raises(DataError, match=rf"data\.yaml: {message}"):
        load_yolo(write_yaml(tmp_path, **content))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "data.yaml"
    with pytest.raises(DataError, match=r"data\.yaml: cannot be read \(No such file"):
        load_yolo(path)
    for text, message in (("a: [", r"is not YAML \(.*line 1"), ("- a", "lists no images"), ("\0", "is not YAML")):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"data\.yaml: {message}"):
            load_yolo(path)


def test_photos_that_are_broken_or_turned(tmp_path):
    photos, path = make_data(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos[0].path).save(photos[0].path, exif=exif)
    with pytest.raises(DataError, match=r"0\.txt: its boxes are drawn on .*EXIF orientation 6.*frame='stored'"):
        load_yolo(path)
    left, top, right, bottom = BOXES[0]
    stored = load_yolo(path, frame="stored").train[0]
    assert stored.boxes_xyxy[0].tolist() == pytest.approx([SIZE[1] - bottom, left, SIZE[1] - top, right], abs=1e-3)
    assert load_yolo(path, frame="upright").train[0].boxes_xyxy[0, 0] == pytest.approx(left / 2, abs=1e-3)
    photos[0].path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png: cannot be read as an image .* needed for the boxes of .*0\.txt"):
        load_yolo(path)
