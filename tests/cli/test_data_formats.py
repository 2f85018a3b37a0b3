"""Commands that take data, in every format."""

import csv
import json

import numpy as np
import pytest
import yaml

from tests.cli.conftest import QUICK, run
from tests.datasets.photos import SIZE, draw_photos

FORMATS = ("voc", "coco.json", "yolo/data.yaml", "boxes.csv", "crops.csv")


def write_voc(folder, photos):
    (folder / "annotations").mkdir()
    for photo in photos:
        faces = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax>"
            f"<ymax>{box[3]}</ymax></bndbox></object>"
            for box, label in zip(photo.boxes_xyxy.tolist(), photo.labels.tolist(), strict=True)
        )
        file = folder / "annotations" / f"{photo.path.stem}.xml"
        file.write_text(f"<annotation>{faces}</annotation>", encoding="utf-8")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The same faces in every format; and face crops, which are the photos, in a table."""
    here = tmp_path_factory.mktemp("here")
    photos = draw_photos(here / "voc" / "images", 4)
    write_voc(here / "voc", photos)
    names = ["with_mask", "without_mask"]
    coco = {"images": [], "annotations": [], "categories": [{"id": i, "name": name} for i, name in enumerate(names)]}
    rows, labels = [], here / "yolo" / "labels"
    labels.mkdir(parents=True)
    draw_photos(here / "yolo" / "images", 4)
    for index, photo in enumerate(photos):
        coco["images"].append({"id": index, "file_name": f"voc/images/{photo.path.name}"})
        lines = []
        for box, label in zip(photo.boxes_xyxy.tolist(), photo.labels.tolist(), strict=True):
            left, top, right, bottom = box
            bbox = [left, top, right - left, bottom - top]
            coco["annotations"].append({"image_id": index, "category_id": names.index(label), "bbox": bbox})
            center = np.array([(left + right) / 2, (top + bottom) / 2, *bbox[2:]]) / np.tile(SIZE, 2)
            lines.append(" ".join(map(str, [names.index(label), *center])))
            rows.append([f"voc/images/{photo.path.name}", *box, label])
        (labels / f"{photo.path.stem}.txt").write_text("\n".join(lines), encoding="utf-8")
    (here / "coco.json").write_text(json.dumps(coco), encoding="utf-8")
    content = {"train": "images", "val": "images", "names": names}
    (here / "yolo" / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for name, head, lines in (
        ("boxes.csv", ["path", "xmin", "ymin", "xmax", "ymax", "label"], rows),
        ("crops.csv", ["path", "label", "split"], [[f"voc/images/{i}.png", names[i % 2], "train"] for i in range(4)]),
    ):
        with (here / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *lines])
    return here


def test_the_same_model_is_trained_on_every_format(here, tmp_path, capsys):
    weights = {}
    for data in FORMATS:
        code, out, err = run(capsys, "train", here / data, "--out", tmp_path / data, *QUICK)
        assert code == 0, err
        assert ("trained on 4 with_mask, 4 without_mask" if data != "crops.csv" else "trained on 2 with_mask") in out
        weights[data] = [file.read_bytes() for file in sorted((tmp_path / data).glob("*.safetensors"))]
    assert weights["voc"] == weights["coco.json"] == weights["yolo/data.yaml"] == weights["boxes.csv"]
    model = tmp_path / "voc"
    code, out, _ = run(capsys, "evaluate", here / "coco.json", "--model", model, "--detector", "whole")
    assert (code, "end-to-end recall" in out) == (0, True)
    code, out, _ = run(
        capsys, "evaluate", here / "yolo", "--split", "Val", "--crops", "--model", model, "--format", "json"
    )
    assert (code, json.loads(out)["n_faces"]) == (0, 8)


@pytest.mark.parametrize("data", [*FORMATS, "yolo"])
def test_every_format_is_described_and_drawn(here, data, tmp_path, capsys):
    code, out, _ = run(capsys, "data", "info", here / data, "--format", "csv")
    splits = ["train", "val"] if data.startswith("yolo") else ["train"] if data == "crops.csv" else ["all"]
    assert code == 0
    assert list(dict.fromkeys(row["split"] for row in csv.DictReader(out.splitlines()))) == splits
    assert run(capsys, "data", "info", here / data)[0] == 0
    assert run(capsys, "data", "collage", here / data, "--out", tmp_path / "faces.png")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train missing.csv", 1, "missing.csv: cannot be read (No such file or directory); check the path"),
        (
            "train notes.txt",
            1,
            "notes.txt: is a file that ends in '.txt'; want a folder, or .csv, .tsv",
        ),
        ("train yolo/data.yaml --split test", 1, "--split test: no such split; DATA has train, val"),
        ("train boxes.csv --split train", 2, "DATA contains annotated photos, which have no splits"),
        ("evaluate yolo", 2, "DATA has train, val; choose one of them"),
        ("evaluate crops.csv --crops", 2, "is for annotated photos; DATA contains face crops"),
        ("evaluate crops.csv --detector whole", 2, "no face is detected in face crops and annotated faces"),
        ("data audit yolo", 2, "contains annotated photos; audit needs face crops"),
        ("train broken.csv", 1, "broken.csv: line 2: has no class"),
    ],
)
def test_mistakes_in_data_of_other_formats(here, arguments, code, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(here)
    (here / "notes.txt").write_text("mine")
    (here / "broken.csv").write_text("path,label\nvoc/images/0.png,\n")
    more = ["--out", tmp_path / "model", *QUICK] if arguments.startswith("train") else []
    found, _, err = run(capsys, *arguments.split(), *more)
    assert found == code
    assert message in " ".join(err.split())
