"""Loading and describing of face crops and annotated photos."""

import io
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.utils import Bunch

from maskkit.datasets import AnnotatedPhoto, describe, load_faces, load_photos
from maskkit.exceptions import DataError, ImageError, SkippedImageWarning
from tests.helpers import load_image


def add_image(path, size=(20, 24), color="white"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def add_broken(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")
    return path


def make_classes(folder, n_masked=3, n_unmasked=2):
    for index in range(n_masked):
        add_image(folder / "WithMask" / f"{index}.png")
    for index in range(n_unmasked):
        add_image(folder / "WithoutMask" / f"{index}.png", size=(40, 30))
    return folder


def make_splits(folder):
    make_classes(folder / "Train", 12, 6)
    make_classes(folder / "Validation")
    return folder


def names(paths):
    return [path.name for path in paths]


# Layouts


def test_class_folders_alone_are_one_split(tmp_path):
    faces = load_faces(make_classes(tmp_path), shuffle=False)
    assert names(faces.paths) == ["0.png", "1.png", "2.png", "0.png", "1.png"]
    assert faces.labels.tolist() == ["WithMask"] * 3 + ["WithoutMask"] * 2
    assert list(faces.splits) == ["all"]
    assert faces.splits["all"].paths == faces.paths
    assert faces.skipped == []


def test_splits_are_attributes_in_lower_case(tmp_path):
    faces = load_faces(str(make_splits(tmp_path)))
    assert list(faces.splits) == ["train", "validation"]
    assert (len(faces.train.paths), len(faces.validation.paths)) == (18, 5)
    assert faces.validation is faces.splits["validation"]
    assert "paths" not in faces
    for split in faces.splits.values():
        assert isinstance(split, Bunch)
        assert split.labels.dtype.kind == "U"
        assert [path.parent.name for path in split.paths] == split.labels.tolist()


def test_many_splits_and_classes_and_unusual_names(tmp_path):
    labels = ["with mask 😷", "$x_1$", "[red]", "_d", *map(str, range(20))]
    for split in [f"Fold {index}" for index in range(12)]:
        for label in labels:
            add_image(tmp_path / split / label / "a face.png", size=(2, 2))
    faces = load_faces(tmp_path)
    assert list(faces.splits) == [f"fold {index}" for index in range(12)]
    assert set(faces["fold 3"].labels) == set(labels)


def test_only_files_with_image_extensions_are_listed(tmp_path):
    make_classes(tmp_path, 1, 1)
    for name in ("b.JPG", "c.Jpeg", "d.BMP"):
        add_image(tmp_path / "WithMask" / name)
    for name in ("notes.txt", "Thumbs.db", ".hidden.png", "paper.pdf", "features.h5", "no_ending"):
        (tmp_path / "WithMask" / name).write_text("not an image")
    for path in (tmp_path / ".cache", tmp_path / "__MACOSX" / "WithMask"):
        path.mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("beside the class folders")
    faces = load_faces(tmp_path, shuffle=False)
    assert names(faces.paths) == ["0.png", "b.JPG", "c.Jpeg", "d.BMP", "0.png"]


def test_names_are_in_natural_order(tmp_path):
    make_classes(tmp_path, 12, 1)
    assert names(load_faces(tmp_path, shuffle=False).paths)[:12] == [f"{index}.png" for index in range(12)]


# Shuffling


def test_order_depends_on_the_seed_only(tmp_path):
    make_splits(tmp_path)
    first, again = load_faces(tmp_path), load_faces(tmp_path)
    other = load_faces(tmp_path, random_state=1)
    assert first.train.paths == again.train.paths
    assert first.train.paths != other.train.paths
    assert sorted(first.train.paths) == sorted(other.train.paths)
    assert first.train.labels.tolist() != sorted(first.train.labels)


def test_shuffling_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    make_splits(tmp_path)
    listed = pathlib.Path.iterdir
    expected = load_faces(tmp_path).train.paths
    monkeypatch.setattr(pathlib.Path, "iterdir", lambda folder: reversed(list(listed(folder))))
    assert load_faces(tmp_path).train.paths == expected


def test_a_split_does_not_change_the_order_of_another(tmp_path):
    make_splits(tmp_path)
    expected = load_faces(tmp_path).validation.paths
    make_classes(tmp_path / "Test", 5, 5)
    assert load_faces(tmp_path).validation.paths == expected


def test_global_random_state_is_unchanged(tmp_path):
    make_classes(tmp_path)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    load_faces(tmp_path)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


# Unreadable images


def test_on_error_raise_opens_no_file(tmp_path):
    broken = add_broken(make_classes(tmp_path) / "WithMask" / "broken.png")
    assert broken in load_faces(tmp_path).paths


def test_on_error_skip_warns_once(tmp_path):
    make_splits(tmp_path)
    broken = [add_broken(tmp_path / split / "WithMask" / "broken.png") for split in ("Train", "Validation")]
    with pytest.warns(SkippedImageWarning, match="2 of 25 images cannot be read") as caught:
        faces = load_faces(tmp_path, on_error="skip")
    assert len(caught) == 1
    assert "broken.png" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert [path for path, _ in faces.skipped] == broken
    assert all("cannot be read as an image" in reason for _, reason in faces.skipped)
    assert (len(faces.train.paths), len(faces.train.labels)) == (18, 18)
    assert not set(broken) & {*faces.train.paths, *faces.validation.paths}


def test_on_error_skip_is_silent_if_all_images_are_readable(tmp_path):
    make_classes(tmp_path)
    assert load_faces(tmp_path, on_error="skip").paths == load_faces(tmp_path).paths


def test_on_error_skip_raises_if_a_class_becomes_empty(tmp_path):
    make_classes(tmp_path, 2, 0)
    add_broken(tmp_path / "WithoutMask" / "broken.png")
    with pytest.raises(DataError, match="no image of WithoutMask can be read; want at least one"):
        load_faces(tmp_path, on_error="skip")


@pytest.mark.parametrize("load", [load_faces, load_photos])
def test_unknown_on_error_raises(load, tmp_path):
    with pytest.raises(ValueError, match=r"on_error='ignore' is unknown; use 'raise' or 'skip'\."):
        load(tmp_path, on_error="ignore")


# Folders without valid data


@pytest.mark.parametrize("load", [load_faces, load_photos])
def test_missing_folder_and_file(load, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder; check the path\."):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file; pass the folder that contains the data, or use load_table"):
        load(add_image(tmp_path / "face.png"))


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"contains no images and no folder; want split and class folders \(Train/"):
        load_faces(tmp_path)


def test_images_without_class_folders(tmp_path):
    make_classes(tmp_path)
    with pytest.raises(DataError, match=r"WithMask: contains 3 images and no folder; want split and class folders"):
        load_faces(tmp_path / "WithMask")


def test_one_class_only(tmp_path):
    add_image(tmp_path / "alone" / "WithMask" / "a.png")
    with pytest.raises(DataError, match=r"alone: contains only one class, WithMask; want .*two or more"):
        load_faces(tmp_path / "alone")
    make_splits(tmp_path / "splits")
    add_image(tmp_path / "splits" / "Test" / "WithMask" / "a.png")
    assert load_faces(tmp_path / "splits").test.labels.tolist() == ["WithMask"]


def test_class_without_image(tmp_path):
    make_classes(tmp_path)
    (tmp_path / "incorrect").mkdir()
    (tmp_path / "incorrect" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match="incorrect: contains no image; want at least one per class"):
        load_faces(tmp_path)


def test_mixture_of_layouts(tmp_path):
    make_classes(make_splits(tmp_path))
    with pytest.raises(DataError, match=r"mixes layouts: Train, Validation with .* WithMask, WithoutMask without"):
        load_faces(tmp_path)


@pytest.mark.parametrize("place", ["", "Train"])
def test_images_beside_folders_raise(tmp_path, place):
    add_image(make_splits(tmp_path) / place / "stray.png")
    with pytest.raises(DataError, match=r"contains 1 image \(stray.png\) beside folders, so without a class; move"):
        load_faces(tmp_path)


def test_parent_folder_of_the_data_raises_with_the_folder_to_pass(tmp_path):
    make_splits(tmp_path / "Face Mask Dataset")
    with pytest.raises(DataError, match=re.escape(f"pass that folder, such as {tmp_path / 'Face Mask Dataset'}.")):
        load_faces(tmp_path)


def test_reserved_split_name_raises(tmp_path):
    make_classes(tmp_path / "Train")
    make_classes(tmp_path / "Splits")
    with pytest.raises(DataError, match="Splits: the split's name in lower case, 'splits', is taken; rename"):
        load_faces(tmp_path)


# Photos

OBJECT = (
    "<object><name>{}</name><part><name>eye</name><bndbox/></part>"
    "<bndbox><ymin>{}</ymin><xmin>{}</xmin><xmax>{}</xmax><ymax>{}</ymax></bndbox>stray words</object>"
)


def add_photo(folder, stem, faces=(), filename=None, beside=False, image=True, size=(100, 60)):
    annotations, images = (folder, folder) if beside else (folder / "annotations", folder / "images")
    annotations.mkdir(parents=True, exist_ok=True)
    if image:
        add_image(images / f"{stem}.jpg", size=size)
    objects = "".join(OBJECT.format(label, y0, x0, x1, y1) for label, (x0, y0, x1, y1) in faces)
    text = f"<annotation><filename>{filename or stem + '.jpg'}</filename>{objects}</annotation>"
    path = annotations / f"{stem}.xml"
    path.write_text(text, encoding="utf-8")
    return path


FACES = [("with_mask", (10, 5, 30, 29)), ("without_mask", (50.5, 5, 101, 60))]


@pytest.mark.parametrize("beside", [True, False])
def test_photos_and_their_boxes(tmp_path, beside):
    for stem in ("p10", "p9", "p1"):
        add_photo(tmp_path, stem, FACES if stem == "p9" else (), beside=beside)
    photos = load_photos(tmp_path)
    assert [photo.path.stem for photo in photos] == ["p1", "p9", "p10"]
    assert all(photo.path.is_file() for photo in photos)
    assert photos[1].boxes_xyxy.tolist() == [[10, 5, 30, 29], [50.5, 5, 101, 60]]
    assert photos[1].boxes_xyxy.dtype == np.float32
    assert photos[1].labels.tolist() == ["with_mask", "without_mask"]
    assert photos[0].boxes_xyxy.shape == (0, 4)
    assert photos[0].labels.shape == (0,)


def test_folder_names_of_the_original_pascal_voc(tmp_path):
    add_photo(tmp_path, "p", FACES)
    (tmp_path / "annotations").rename(tmp_path / "Annotations")
    (tmp_path / "images").rename(tmp_path / "JPEGImages")
    assert load_photos(tmp_path)[0].path == tmp_path / "JPEGImages" / "p.jpg"


def test_image_is_found_by_stem_then_by_filename(tmp_path):
    add_photo(tmp_path, "own", filename="other.jpg")
    add_photo(tmp_path, "other")
    add_photo(tmp_path, "third", filename="C:\\photos\\alone.jpg", image=False)
    add_image(tmp_path / "images" / "alone.jpg")
    add_photo(tmp_path, "twice", filename="twice.png")
    add_image(tmp_path / "images" / "twice.png")
    paths = {
        name: photo.path.name
        for name, photo in zip(("other", "own", "third", "twice"), load_photos(tmp_path), strict=True)
    }
    assert paths == {"other": "other.jpg", "own": "own.jpg", "third": "alone.jpg", "twice": "twice.png"}


def corrupt(text, old, new):
    assert old in text
    return text.replace(old, new)


BOMB = (
    '<!DOCTYPE annotation [<!ENTITY a0 "lollollol">'
    + "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    + "]><annotation>&a9;</annotation>"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-5], r"p\.xml: is not well-formed XML \("),
        (lambda text: "", r"p\.xml: is not well-formed XML"),
        (lambda text: '<?xml version="1.0" encoding="klingon"?>' + text, r"p\.xml: is not well-formed XML"),
        (lambda text: BOMB, r"p\.xml: is not well-formed XML"),
        (lambda text: "<html/>", r"p\.xml: begins with <html>; want <annotation>"),
        (lambda text: corrupt(text, "<xmax>30<", "<xmax>10<"), r"p\.xml: .*box \(10.0, 5.0, 10.0, 29.0\) is empty"),
        (lambda text: corrupt(text, "<ymax>29<", "<ymax>2<"), r"p\.xml: .*swapped edges"),
        (lambda text: corrupt(text, "<ymax>29<", "<ymax>nan<"), r"p\.xml: .*not finite"),
        (lambda text: corrupt(text, "<ymax>29<", "<ymax>ten<"), r"p\.xml: the box .*'ten'.* is not four numbers"),
        (lambda text: corrupt(text, "<ymax>29</ymax>", ""), r"p\.xml: the box .*None.* is not four numbers"),
        (lambda text: corrupt(text, "with_mask", " "), r"p\.xml: an <object> has no <name>"),
    ],
)
def test_malformed_annotation_raises(tmp_path, change, message):
    path = add_photo(tmp_path, "p", FACES[:1])
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        load_photos(tmp_path)


def test_missing_and_ambiguous_image(tmp_path):
    add_photo(tmp_path, "p", image=False, filename="q.jpg")
    with pytest.raises(DataError, match=r"p\.xml: no image of that name, and <filename> is 'q\.jpg'; want one"):
        load_photos(tmp_path)
    for ending in ("png", "bmp"):
        add_image(tmp_path / "images" / f"p.{ending}")
    with pytest.raises(DataError, match=r"p\.xml: several images \(.*p\.bmp, .*p\.png\) of that name"):
        load_photos(tmp_path)


def test_folder_without_annotations(tmp_path):
    add_image(tmp_path / "images" / "p.jpg")
    with pytest.raises(DataError, match=r"contains no annotation \(\*\.xml\); want annotations/"):
        load_photos(tmp_path)


def test_on_error_skip_of_photos_warns_once(tmp_path):
    good = add_photo(tmp_path, "good", FACES)
    add_photo(tmp_path, "malformed").write_text("<annotation>")
    add_photo(tmp_path, "lost", image=False)
    add_photo(tmp_path, "broken")
    add_broken(tmp_path / "images" / "broken.jpg")
    with pytest.warns(SkippedImageWarning, match="3 of 4 photos cannot be read") as caught:
        photos = load_photos(tmp_path, on_error="skip")
    assert len(caught) == 1
    assert all(word in str(caught[0].message) for word in ("malformed.xml", "lost.xml", "broken.jpg"))
    assert [photo.path.stem for photo in photos] == [good.stem]


def test_annotated_photo_checks_and_converts_its_fields():
    photo = AnnotatedPhoto("p.jpg", [[0, 0, 2, 2]], ["with_mask"])
    assert isinstance(photo.path, pathlib.Path)
    assert photo.boxes_xyxy.dtype == np.float32
    with pytest.raises(DataError, match=r"p\.jpg: boxes_xyxy has shape \(1, 4\) and labels \(2,\); want"):
        AnnotatedPhoto("p.jpg", [[0, 0, 2, 2]], ["with_mask", "with_mask"])
    with pytest.raises(AttributeError):
        photo.labels = []


# Description


def test_describe_counts_shares_and_sides(tmp_path):
    described = describe(load_faces(make_splits(tmp_path)))
    assert described.counts == {
        "train": {"WithMask": 12, "WithoutMask": 6},
        "validation": {"WithMask": 3, "WithoutMask": 2},
    }
    counts, sides = described.tables()
    assert counts.rows[:3] == (
        ("train", "WithMask", 12, 12 / 18),
        ("train", "WithoutMask", 6, 6 / 18),
        ("train", "all", 18, 1.0),
    )
    assert sides.rows[0] == ("train", "WithMask", 20, 20, 20, 24, 24, 24)
    assert sides.rows[1] == ("train", "WithoutMask", 30, 30, 30, 40, 40, 40)
    of_class = described.to_dict()["splits"]["train"]["classes"]["WithoutMask"]
    assert of_class["shorter_side_px"] == {"p5": 30.0, "median": 30.0, "p95": 30.0}


def test_describe_takes_a_split_or_paths_and_labels(tmp_path):
    faces = load_faces(make_splits(tmp_path))
    expected = describe(faces.validation).to_dict()
    assert list(expected["splits"]) == ["all"]
    assert describe((faces.validation.paths, faces.validation.labels)).to_dict() == expected
    assert describe((faces.validation.paths, [1, 0, 0, 1, 1])).counts == {"all": {"0": 2, "1": 3}}


def test_describe_reads_headers_only_and_lists_unreadable_files(tmp_path):
    make_classes(tmp_path)
    cut = add_image(tmp_path / "WithMask" / "cut.png", size=(300, 300))
    cut.write_bytes(cut.read_bytes()[:60])
    broken = add_broken(tmp_path / "WithMask" / "broken.png")
    with pytest.raises(ImageError):
        load_image(cut)
    described = describe(load_faces(tmp_path))
    assert described.counts["all"]["WithMask"] == 5
    assert described.to_dict()["unreadable"] == [str(broken)]
    assert "1 that cannot be read" in described.tables()[1].note
    assert 300 in described.sizes_px["WithMask"]


def test_describe_without_any_readable_header(tmp_path):
    paths = [add_broken(tmp_path / name) for name in ("a.png", "b.png")]
    described = describe((paths, ["x", "y"]))
    assert described.tables()[1].rows[0][2:] == (None,) * 6
    assert described.save_chart(tmp_path / "chart.png").is_file()


def test_describe_photos_counts_faces_by_size(tmp_path):
    sides = (15.9, 16, 31, 32, 63, 64, 500)
    add_photo(tmp_path, "a", [("with_mask", (0, 0, 1, side)) for side in sides], size=(100, 500))
    add_photo(tmp_path, "b", FACES)
    add_photo(tmp_path, "empty")
    described = describe(load_photos(tmp_path))
    faces, photos, sides = described.tables()
    assert faces.columns == ("class", "faces", "share", "<16", "16-32", "32-64", "64+")
    assert faces.rows == (
        ("with_mask", 8, 8 / 9, 1, 3, 2, 2),
        ("without_mask", 1, 1 / 9, 0, 0, 1, 0),
        ("all", 9, 1.0, 1, 3, 3, 2),
    )
    assert photos.rows[0][:2] == (3, 1)
    assert sides.rows == ((60, 60, 96, 100, 100, 460),)
    assert described.to_dict()["n_photos_without_faces"] == 1


def test_describe_photos_without_any_face(tmp_path):
    add_photo(tmp_path, "empty")
    described = describe(load_photos(tmp_path))
    assert described.to_dict()["n_faces"] == 0
    assert described.save_chart(tmp_path / "chart.png").is_file()


def test_description_is_printed_and_converted(tmp_path):
    described = describe(load_faces(make_splits(tmp_path)))
    console = Console(width=80, file=io.StringIO())
    console.print(described)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "Images by split and class" in text
    assert described._repr_html_().count("<table>") == 2
    assert repr(described) == "<Description: 15 WithMask, 8 WithoutMask>"
    figures = described.to_dict()
    assert json.loads(json.dumps(figures)) == figures
    figures["splits"].clear()
    assert described.to_dict()["splits"]


def test_describe_raises_for_other_data(tmp_path):
    with pytest.raises(TypeError, match=r"faces is of type str; want what a function of maskkit\.datasets loaded"):
        describe("face-mask-12k")
    with pytest.raises(TypeError, match="faces is of type list"):
        describe([tmp_path])
    with pytest.raises(ValueError, match="faces is empty; want at least one photo"):
        describe([])
    with pytest.raises(ValueError, match="split 'all' is empty"):
        describe(([], []))
    with pytest.raises(ValueError, match=r"split 'all': 1 paths and labels of shape \(2,\); want one label per path"):
        describe(([tmp_path], ["a", "b"]))


# Real data


def test_real_faces(data_dir):
    described = describe(load_faces(data_dir / "face-mask-12k"))
    assert described.counts["train"] == {"WithMask": 2500, "WithoutMask": 2500}
    assert described.counts["validation"] == {"WithMask": 400, "WithoutMask": 400}
    assert described.to_dict()["unreadable"] == []


def test_real_photos(data_dir):
    photos = load_photos(data_dir / "face-mask-photos")
    texts = [path.read_text() for path in (data_dir / "face-mask-photos" / "annotations").glob("*.xml")]
    counts = describe(photos).counts["all"]
    assert len(photos) == len(texts) == 427
    assert sum(counts.values()) == sum(text.count("<object>") for text in texts)
    for label in ("with_mask", "without_mask", "mask_weared_incorrect"):
        assert counts[label] == sum(text.count(f"<name>{label}</name>") for text in texts) > 0
