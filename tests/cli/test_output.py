"""Printed tables fit a terminal, every format has the same rows, and pictures are written beside them."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from maskkit import MaskClassifier
from maskkit.testing import make_faces
from tests.cli import conftest
from tests.cli.conftest import QUICK, write_faces

CLASSES = ("with_mask", "without_mask")


def run(capsys, *arguments):
    """Run a command that succeeds; return its standard output and standard error."""
    code, out, err = conftest.run(capsys, *arguments)
    assert code == 0, err
    return out, err


@pytest.fixture
def photos(tmp_path):
    """A photo whose name is long, one in other letters, one whose name is not UTF-8."""
    pixels = np.hstack(make_faces(2, size_px=120)[0])
    odd = b"\xff.png".decode("utf-8", "surrogateescape")
    for name in ("a long name " * 12 + ".png", "лицо 口罩 😷.png", odd):
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def check_fits(text):
    """Raise AssertionError if a line of a table is wider than 80 columns or has a colour."""
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_predict_fits_whatever_photos_are_called(model, photos, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    text, _ = run(capsys, "predict", ".", "--model", model)
    check_fits(text)
    assert "口罩" in text
    assert r"\udcff.png" in text


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_predict_prints_every_name_in_machine_readable_formats(form, model, photos, capsys):
    text, _ = run(capsys, "predict", photos, "--model", model, "--format", form)
    if form == "csv":
        names = [row["source"] for row in csv.DictReader(io.StringIO(text))]
    else:
        documents = json.loads(text) if form == "json" else map(json.loads, text.splitlines())
        names = [document["source"] for document in documents]
    assert len(names) == 3
    assert any("лицо 口罩 😷.png" in name for name in names)
    text.encode("utf-8")


def test_many_classes_with_long_names_fit(tmp_path, capsys):
    classes = ("with_mask", "without_mask", "mask_weared_incorrect", "a_class_with_quite_a_long_name", "口罩佩戴正确")
    data, model = write_faces(tmp_path / "data", 40, classes=classes), tmp_path / "model"
    run(capsys, "train", data, "--out", model, *QUICK)
    text, _ = run(capsys, "evaluate", data, "--model", model)
    check_fits(text)
    assert all(piece in text for piece in ("mask_weared_", "incorrect", "口罩佩戴正确"))
    check_fits(run(capsys, "data", "info", data)[0])


def read_rows(text, form):
    return (
        list(csv.DictReader(io.StringIO(text))) if form == "csv" else [json.loads(line) for line in text.splitlines()]
    )


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_data_info_has_one_row_per_class(form, data, capsys):
    rows = read_rows(run(capsys, "data", "info", data, "--format", form)[0], form)
    assert [(row["split"], row["class"], int(row["images"])) for row in rows] == [
        (split, label, 6) for split in ("train", "validation") for label in CLASSES
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_data_audit_has_one_row_per_image(form, data, capsys):
    pytest.importorskip("cleanlab")
    pytest.importorskip("imagehash")
    rows = read_rows(run(capsys, "data", "audit", data, "--format", form)[0], form)
    assert len({row["image"] for row in rows}) == 24
    assert set(rows[0]) == {"image", "label", "split", "group"}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_checks_has_one_row_per_entry(form, capsys):
    rows = read_rows(run(capsys, "checks", "--format", form)[0], form)
    for name in ("centerface", "maskkit"):
        assert {"part": "detectors", "name": name, "state": "ok"} in rows


def test_checks_fits(capsys):
    check_fits(run(capsys, "checks")[0])


def test_train_draws_its_learning_curve(data, tmp_path, capsys):
    plots = tmp_path / "new" / "plots"
    _, err = run(capsys, "train", data, "--out", tmp_path / "m", "--plots", plots, *QUICK)
    assert re.findall(r"written: (\S+png)", err) == [
        str(plots / "training_images.png"),
        str(plots / "learning_curve.png"),
    ]
    with Image.open(plots / "training_images.png") as sheet:
        assert sheet.size[0] > 6 * 160


def test_data_info_draws_its_chart(data, tmp_path, capsys):
    _, err = run(capsys, "data", "info", data, "--plots", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data.png"]
    assert re.findall(r"written: (\S+)", err) == [str(tmp_path / "data.png")]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("{data}/Validation",), {"confusion_matrix", "reliability", "risk_coverage", "slices", "worst_mistakes"}),
        (("{data}/Validation", "{data}/Train"), {"comparison", "1_Validation_slices", "2_Train_slices"}),
        (("{data}/Validation", "--robustness"), {"robustness"}),
    ],
)
def test_evaluate_draws_every_kind_of_result(arguments, names, data, model, tmp_path, capsys):
    arguments = [argument.format(data=data) for argument in arguments]
    text, err = run(capsys, "evaluate", *arguments, "--model", model, "--plots", tmp_path)
    check_fits(text)
    assert f"written: {tmp_path}" in err
    assert names <= {path.stem for path in tmp_path.iterdir()}


def test_tables_take_the_width_of_the_terminal(model, photos, capsys, monkeypatch):
    data = write_faces(photos / "d", 12)
    heights = []
    for columns in (60, 80, 140):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("rich._console", None)  # The console of a process keeps its width.
        text, _ = run(capsys, "evaluate", data, "--model", model)
        assert max(map(cell_len, text.splitlines())) <= columns
        heights.append(text.count("\n"))
    assert heights[0] > heights[2]
    assert heights[1] > heights[2]


@pytest.fixture
def ten_photos(tmp_path):
    """Ten photos of one face each, one of them unreadable."""
    images, _ = make_faces(9, size_px=120)
    for index, image in enumerate(images, 2):
        Image.fromarray(image).save(tmp_path / f"IMG{index}.png")
    (tmp_path / "IMG1.png").write_bytes(b"nothing")
    return tmp_path


def test_predict_prints_photos_in_one_layout_with_a_total(model, ten_photos, capsys, monkeypatch):
    monkeypatch.chdir(ten_photos)
    monkeypatch.setenv("COLUMNS", "80")
    _, text, err = conftest.run(capsys, "predict", ".", "--model", model)
    lines = text.splitlines()
    heading, rows = lines[0], [line for line in lines if line.startswith("     1  ")]
    assert heading.split()[:5] == ["face", "decision", "probability", "score", "box"]
    assert [line.partition(":")[0] for line in lines if line.startswith("IMG")] == [f"IMG{n}.png" for n in range(1, 11)]
    assert len(rows) == 9
    for row in rows:  # every cell stands below its heading
        assert row[: heading.index("decision")].strip() == "1"
        assert row[heading.index("box") :].startswith("0 0 120 120")
        assert len(row) == len(heading)
    (total,) = [line for line in lines if line.startswith("Total: ")]
    assert total.startswith("Total: 10 photos, 9 faces, 1 unreadable: ")
    assert sum(int(part.split()[0]) for part in total.rpartition(": ")[2].split(", ")) == 9
    assert "score: confidence of the detector" in text
    assert "IMG1.png: cannot be read as an image" in err
    assert "" not in lines[: lines.index(total) - 1]
    check_fits(text)


def test_csv_of_predict_holds_what_json_does(model, ten_photos, capsys):
    _, text, _ = conftest.run(capsys, "predict", ten_photos, "--model", model, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    _, text, _ = conftest.run(capsys, "predict", ten_photos, "--model", model, "--format", "json")
    photos = json.loads(text)
    assert rows[0]["error"] == photos[0]["error"]
    for row, photo in zip(rows[1:], photos[1:], strict=True):
        (face,) = photo["faces"]
        assert (row["face"], row["size_px"]) == (str(face["face"]), str(face["size_px"])) == ("1", "120")
        assert row["reasons"] == " ".join(face["reasons"])
        for label, probability in face["probabilities"].items():
            assert float(row[f"probability_{label}"]) == pytest.approx(probability, abs=1e-6)


def test_doubt_has_its_reasons_in_table_and_csv(model, ten_photos, capsys, tmp_path):
    doubtful = MaskClassifier.load(model, min_size_px=500, threshold=1.0).save(tmp_path / "doubtful")
    text, _ = run(capsys, "predict", ten_photos / "IMG2.png", "--model", doubtful)
    assert "too_small low_probability" in text
    check_fits(text)
    text, _ = run(capsys, "predict", ten_photos / "IMG2.png", "--model", doubtful, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["decision"], row["reasons"]) == ("uncertain", "too_small low_probability")


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_explain_has_one_row_per_picture(form, data, model, tmp_path, capsys):
    crops = data / "Validation" / "with_mask"
    text, _ = run(capsys, "explain", crops, "--crops", "--model", model, "--out", tmp_path, "--format", form)
    rows = json.loads(text) if form == "json" else read_rows(text, form)
    assert sorted(row["written"] for row in rows) == sorted(map(str, tmp_path.iterdir()))
    assert {row["source"] for row in rows} == set(map(str, crops.iterdir()))
