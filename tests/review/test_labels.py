"""The file of answers: what is read from it, and what survives."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from maskkit.datasets import load_table
from maskkit.exceptions import DataError, OutputError
from maskkit.review import FaceKey, LabelFile
from tests.conftest import make_classifier
from tests.review.conftest import draw_crops


def write_all(file, answers, groups=None):
    return file.write(answers, groups or {key.path: key.path.name for key in answers})


def test_answers_are_a_table_that_trains_a_model(tmp_path):
    paths, labels = draw_crops(tmp_path / "crops")
    file = LabelFile(tmp_path / "tables" / "labels.csv", has_boxes=False)
    keys = [FaceKey(path) for path in paths]
    write_all(file, dict(zip(keys, [*labels[:-3], "not a face", "skipped", "skipped"], strict=True)))
    with pytest.warns(UserWarning, match=r"3 of 40 rows are left out: 2 skipped, 1 not a face\."):
        faces = load_table(file.path)
    assert list(faces.splits) == ["train", "validation"]
    assert len(faces.train.paths) + len(faces.validation.paths) == 37
    assert faces.train.columns == {}
    model = make_classifier().fit(faces.train.paths, faces.train.labels)
    assert model.score(faces.validation.paths, faces.validation.labels) > 0.5
    assert file.path.read_text().splitlines()[1].startswith("../crops/0.png,")
    # The answers that are left out are remembered.
    assert list(LabelFile(file.path, has_boxes=False).read().values())[-3:] == ["not a face", "skipped", "skipped"]


def test_a_table_with_nothing_but_left_out_rows_is_an_error(tmp_path):
    paths, _ = draw_crops(tmp_path, 2)
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    write_all(file, {FaceKey(path): "skipped" for path in paths})
    with pytest.raises(DataError, match=r"2 of 2 rows are left out: 2 skipped\. None remains"):
        load_table(file.path)


def test_boxes_refer_to_the_upright_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = tmp_path / "turned.jpg"
    Image.new("RGB", (120, 100)).save(photo, exif=exif)
    box = (10.0, 5.25, 50.0, 60.0)
    file = LabelFile(tmp_path / "labels.csv", has_boxes=True)
    write_all(file, {FaceKey(photo, box): "with_mask"})
    table = load_table(file.path)
    (found,) = next(iter(table.splits.values())) if hasattr(table, "splits") else table
    assert found.boxes_xyxy.tolist() == [list(box)]
    assert found.labels.tolist() == ["with_mask"]
    # Without the column, nobody could know.
    plain = tmp_path / "plain.csv"
    plain.write_text(f"path,xmin,ymin,xmax,ymax,label\n{photo},10,5.25,50,60,with_mask\n")
    with pytest.raises(DataError, match="nothing shows on which"):
        load_table(plain)


def test_answers_are_replaced_and_removed_and_other_columns_stay(tmp_path):
    paths, _ = draw_crops(tmp_path, 3)
    keys = [FaceKey(path) for path in paths]
    file = LabelFile(tmp_path / "labels.csv", has_boxes=False)
    write_all(file, dict.fromkeys(keys, "with_mask"))
    lines = file.path.read_text().splitlines()
    file.path.write_text("\n".join([f"{lines[0]};camera", *(f"{line};door" for line in lines[1:])]).replace(",", ";"))
    write_all(file, {keys[0]: "without_mask", keys[1]: None})
    assert file.read() == {keys[2]: "with_mask", keys[0]: "without_mask"}
    assert [line.rpartition(",")[2] for line in file.path.read_text().splitlines()] == ["camera", "door", "door"]
    write_all(file, dict.fromkeys(keys))
    assert list(tmp_path.glob("*.csv")) == []


def test_a_fourth_of_the_groups_is_held_out_and_stays_so(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(400)]
    file = LabelFile(tmp_path / "labels.csv", has_boxes=True)
    keys = [FaceKey(path, box) for path in paths for box in ((0.0, 0.0, 9.0, 9.0), (9.0, 0.0, 20.0, 9.0))]
    write_all(file, dict.fromkeys(keys, "with_mask"))
    counts = file.count()
    assert counts["validation"].total() == 188  # the rule must never change
    rows = [line.split(",") for line in file.path.read_text().splitlines()[1:]]
    assert len({(row[0], row[6]) for row in rows}) == 400  # one split per photo
    # Where one of a group is, the others go, too, whatever the rule says.
    held_out, trained = (Path(next(row[0] for row in rows if row[6] == split)) for split in ("validation", "train"))
    new = FaceKey(tmp_path / "new.png", (0.0, 0.0, 9.0, 9.0))
    for known in (held_out, trained):
        groups = {new.path: "one", tmp_path / known.name: "one"}
        before = file.count()
        write_all(file, {new: "with_mask"}, groups)
        split = "validation" if known == held_out else "train"
        assert file.count()[split].total() == before[split].total() + 1
        write_all(file, {new: None}, groups)


BOXES = "path,xmin,ymin,xmax,ymax,label,split,left_out,frame\n"


@pytest.mark.parametrize(
    ("name", "text", "has_boxes", "message"),
    [
        ("labels.csv", "name,price\na,1\n", False, "has no column 'path', so it is no file of answers"),
        ("labels.csv", "path,label\na.png,x\n", False, "has no column 'split'"),
        ("labels.csv", f"{BOXES},1,1,2,2,x,t,,\n", False, "holds boxes"),
        ("labels.csv", "path,label,split,left_out\na.png,x,train,\n", True, "has no column 'xmin'"),
        (
            "labels.csv",
            "path,xmin,ymin,xmax,ymax,label,split,left_out,frame\na,?,1,2,2,x,t,,\n",
            True,
            "line 2: its box",
        ),
        ("labels.xlsx", "", False, "does not end in .csv"),
        ("photo.csv", "\x00\x01", False, "."),
    ],
)
def test_something_else_is_refused_and_stays(tmp_path, name, text, has_boxes, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises((OutputError, DataError), match=message):
        LabelFile(path, has_boxes=has_boxes)
    assert path.read_text() == text


def test_writers_that_run_at_once_or_are_killed_lose_nothing(tmp_path):
    """Two processes write at once; then others are killed at any moment, and no answer before is lost."""
    script = """
import os, random, signal, sys, time
from pathlib import Path
from maskkit.review import FaceKey, LabelFile

path = Path(sys.argv[1])
def write(first, last):
    file = LabelFile(path, has_boxes=False)
    for index in range(first, last):
        file.write({FaceKey(path.parent / f"{index}.png"): "with_mask"}, {path.parent / f"{index}.png": "a"})

children = []
for child in range(2):
    children.append(os.fork())
    if not children[-1]:
        write(child * 100, child * 100 + 40)
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
assert len(LabelFile(path, has_boxes=False).read()) == 80
known = 80
for round in range(12):
    child = os.fork()
    if not child:
        write(1000 * (round + 1), 1000 * (round + 2))
    time.sleep(random.Random(round).uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    write(500 + round, 501 + round)
    found = len(LabelFile(path, has_boxes=False).read())
    assert found > known
    known = found
"""
    file = tmp_path / "labels.csv"
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".maskkit-")] == ["labels.csv"]
