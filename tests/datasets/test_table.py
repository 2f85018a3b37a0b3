"""Tables of face crops and of photos with boxes: CSV and Parquet."""

import pandas as pd
import pytest
from PIL import Image

from maskkit.datasets import audit, describe, load_table
from maskkit.exceptions import DataError, SkippedImageWarning
from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.datasets.photos import assert_equal_photos, draw_photos


def make_table(folder, n_images=8, ending=".csv", **columns):
    """Write drawn faces, and a table of them in another folder."""
    (folder / "crops").mkdir()
    (folder / "tables").mkdir()
    faces, labels = make_faces(n_images)
    for index, face in enumerate(faces):
        Image.fromarray(face).save(folder / "crops" / f"{index}.png")
    frame = pd.DataFrame({"path": [f"../crops/{index}.png" for index in range(n_images)], "label": labels} | columns)
    table = folder / "tables" / f"faces{ending}"
    frame.to_parquet(table) if ending == ".parquet" else frame.to_csv(table, index=False)
    return table


def write(folder, text, encoding="utf-8", name="faces.csv"):
    for image in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / image)
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_model_is_trained_on_a_table_by_split(tmp_path, ending):
    split = ["Train"] * 6 + ["test"] * 2
    table = make_table(tmp_path, split=split, group=list("aabbcc") + ["d"] * 2, camera=range(8), ending=ending)
    faces = load_table(table)
    assert list(faces.splits) == ["train", "test"]
    assert faces.train.groups.tolist() == list("aabbcc")
    assert [int(value) for value in faces.test.columns["camera"]] == [6, 7]
    assert list(faces.test.columns) == ["group", "camera"]
    model = make_classifier().fit(faces.train.paths, faces.train.labels)
    assert model.score(faces.test.paths, faces.test.labels) in (0, 0.5, 1)
    assert describe(faces).counts == {
        "train": {"with_mask": 3, "without_mask": 3},
        "test": {"with_mask": 1, "without_mask": 1},
    }


def test_a_table_without_splits_is_one(tmp_path):
    faces = load_table(str(make_table(tmp_path)))
    assert (list(faces.splits), len(faces.paths), "groups" in faces) == (["all"], 8, False)
    assert [path.name for path in faces.paths[:2]] == ["0.png", "1.png"]
    assert faces.columns == {}
    assert audit(faces, random_state=0).sources == faces.paths


def test_columns_of_other_names_and_parquet_of_other_types(tmp_path):
    table = write(tmp_path, 'Datei;Klasse;Kamera\na.png;1;x\n"b.png";0;\n', encoding="utf-8-sig")
    faces = load_table(table, path="Datei", label="Klasse")
    assert (faces.labels.tolist(), faces.columns) == (["1", "0"], {"Kamera": ["x", ""]})
    pd.DataFrame({"path": ["a.png", "b.png"], "label": pd.Categorical([1, 0])}).to_parquet(tmp_path / "faces.parquet")
    assert load_table(tmp_path / "faces.parquet").labels.tolist() == ["1", "0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na.png,x\n", r"has no column 'label'; its columns are 'path', 'class'\. .*label='NAME'"),
        ("path,label\na.png,x\nb.png,\n", r"line 3: has no class; want one per row"),
        ("path,label\na.png,x\n\n ,x\n", r"line 4: has no image path"),
        (
            "path,label\na.png,x\nc.png,x\n",
            r"line 3: .*c\.png: no such file; relative paths are relative to the folder",
        ),
        ("path,label\na.png,x\nb.png\n", r"line 3: has 1 fields; want 2"),
        ('path,label\na.png,"x\n', r"line 2: is not CSV"),
        ("path,label,label\na.png,x,y\n", r"has two columns of the same name"),
        ("path,label\na.png,x\na.png,y\n", r"line 3: .*a\.png is y, but x in line 2; want one class"),
        ("path,label,split\na.png,x,train\na.png,x,test\n", r"line 3: .* is x in test, but x in train in line 2"),
        ("path,label,split\na.png,x,\n", r"line 2: has no split"),
        ("path,label,split\na.png,x,Paths\n", r"the split 'paths' has a name that is taken"),
        ("path,label,group\na.png,x,\n", r"line 2: has no group"),
        ("path,label\n", r"has no rows; want one per face"),
        ("", r"is empty; want a row of column names"),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path, text, message):
    table = write(tmp_path, text)
    with pytest.raises(DataError, match=rf"faces\.csv: {message}"):
        load_table(table)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"faces\.csv: is not UTF-8 .*save it as CSV UTF-8"):
        load_table(write(tmp_path, "path,label\na.png,masqué\n", encoding="latin-1"))
    with pytest.raises(DataError, match=r"faces\.parquet: cannot be read as Parquet"):
        load_table(write(tmp_path, "path,label\n", name="faces.parquet"))
    with pytest.raises(DataError, match=r"faces\.xlsx: is no table by its ending; want \.csv, \.tsv, \.parquet"):
        load_table(tmp_path / "faces.xlsx")
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataError, match=rf"{name}: cannot be read \(.*o such file.*\); check the path"):
            load_table(tmp_path / name)
    with pytest.raises(DataError, match=r"faces\.csv: has no column 'person'; .*group='NAME'"):
        load_table(write(tmp_path, "path,label\na.png,x\n"), group="person")


def test_images_that_cannot_be_read_are_left_out_with_a_warning(tmp_path):
    table = write(tmp_path, "path,label,camera\na.png,x,1\nc.png,x,2\nb.png,y,3\n")
    with pytest.warns(SkippedImageWarning, match=r"1 of 3 images cannot be read and were left out: c\.png") as caught:
        faces = load_table(table, on_error="skip")
    assert caught[0].filename == __file__
    assert (faces.labels.tolist(), faces.columns, len(faces.skipped)) == (["x", "y"], {"camera": ["1", "3"]}, 1)
    with pytest.raises(DataError, match=r"none of its 1 images can be read; check their paths"):
        load_table(write(tmp_path, "path,label\nc.png,x\n"), on_error="skip")
    with pytest.raises(ValueError, match="on_error='ignore' is unknown"):
        load_table(table, on_error="ignore")


# Boxes

BOXES = "path,xmin,ymin,xmax,ymax,label\n"


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_model_is_trained_on_a_table_of_boxes(tmp_path, ending):
    photos = draw_photos(tmp_path / "photos", 4)
    rows = [
        {"file": f"photos/{photo.path.name}", "label": label, "part": "Train" if row < 3 else "Test"}
        | dict(zip("abcd", box, strict=True))
        for row, photo in enumerate(photos)
        for box, label in zip(photo.boxes_xyxy.tolist() or [[None] * 4], photo.labels.tolist() or [None], strict=True)
    ]
    frame = pd.DataFrame(rows)
    table = tmp_path / f"faces{ending}"
    frame.to_parquet(table) if ending == ".parquet" else frame.to_csv(table, index=False)
    read = load_table(table, path="file", split="part", box=("a", "b", "c", "d"))
    assert repr(read) == "<photos, train: 3, test: 2>"
    assert_equal_photos([*read.train, *read.test], photos)
    assert make_classifier().fit(read.train).class_counts_.tolist() == [3, 3]
    assert describe(read).counts["test"] == {"with_mask": 1, "without_mask": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,1,2,x,8,with_mask", r"line 2: its box is \['1', '2', 'x', '8'\]; want four numbers"),
        ("a.png,1,2,,8,with_mask", r"line 2: its box is .*; want four numbers"),
        ("a.png,5,2,1,8,with_mask", r"line 2: the box .* swapped edges"),
        ("a.png,0.1,0.2,0.5,0.9,with_mask", r"line 2: the box .* fraction of the photo"),
        ("a.png,1,2,6,8,", r"line 2: has no class"),
        ("a.png,11,12,16,18,with_mask", r".*a\.png.*the box .* lies outside the 8 x 8 pixels"),
        ("c.png,1,2,6,8,with_mask", r"line 2: .*c\.png: no such file"),
    ],
)
def test_a_broken_box_is_named_with_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=rf"faces\.csv: {message}"):
        load_table(write(tmp_path, f"{BOXES}{row}\n"))


def test_boxes_without_a_column_or_in_two_splits(tmp_path):
    table = write(tmp_path, "path,xmin,ymin,xmax,label\na.png,1,2,6,x\n")
    with pytest.raises(DataError, match=r"has no column 'ymax'; .* load_table\(\.\.\., box=\('LEFT', 'TOP'"):
        load_table(table)
    with pytest.raises(DataError, match="has no column 'left'"):
        load_table(table, box=("left", "top", "right", "bottom"))
    with pytest.raises(ValueError, match="has 2 names; want four columns"):
        load_table(table, box=("xmin", "ymin"))
    both = "path,xmin,ymin,xmax,ymax,label,split\na.png,1,2,6,8,x,train\na.png,1,2,6,8,x,test\n"
    with pytest.raises(DataError, match=r"line 3: .*a\.png is in test, but in train in line 2"):
        load_table(write(tmp_path, both))
    assert len(load_table(write(tmp_path, f"{BOXES}a.png,1,2,6,8,x\na.png,2,2,6,8,y\n"))[0].labels) == 2


def test_one_box_of_two_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 3: .*a\.png: the same box has another class in an earlier row"):
        load_table(write(tmp_path, f"{BOXES}a.png,1,2,6,8,x\na.png,1,2,6,8,y\n"))
