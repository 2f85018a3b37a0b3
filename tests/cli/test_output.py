"""Printed tables fit a terminal, every format has the same rows, and pictures are written beside them."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

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
    (picture,) = plots.iterdir()
    assert picture.name == "learning_curve.png"
    assert f"written: {picture}" in err


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


def test_a_terminal_of_any_width_gets_tables_of_80_columns(model, photos, capsys, monkeypatch):
    for columns in (80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        text, _ = run(capsys, "evaluate", write_faces(photos / "d", 12), "--model", model)
        check_fits(text)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_explain_has_one_row_per_picture(form, data, model, tmp_path, capsys):
    crops = data / "Validation" / "with_mask"
    text, _ = run(capsys, "explain", crops, "--crops", "--model", model, "--out", tmp_path, "--format", form)
    rows = json.loads(text) if form == "json" else read_rows(text, form)
    assert sorted(row["written"] for row in rows) == sorted(map(str, tmp_path.iterdir()))
    assert {row["source"] for row in rows} == set(map(str, crops.iterdir()))
