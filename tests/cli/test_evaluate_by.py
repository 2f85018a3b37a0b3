"""maskkit evaluate --by: accuracy by the columns of a table."""

import csv
import json

import pytest

from tests.cli.conftest import run


@pytest.fixture(scope="module")
def table(data, tmp_path_factory):
    """A table of 12 face crops with two columns, of which one has empty cells. Do not write to it."""
    path = tmp_path_factory.mktemp("tables") / "faces.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "camera", "light", "size"])
        for index, image in enumerate(sorted((data / "Validation").rglob("*.png"))):
            light = ("day", "")[index % 3 == 0]
            writer.writerow([image, image.parent.name, ("door", "hall")[index % 2], light, index])
    return path


def test_columns_are_slices_with_intervals(capsys, model, table):
    code, out, err = run(
        capsys, "evaluate", table, "--model", model, "--by", "camera", "--by", "light", "--format", "json"
    )
    assert code == 0, err
    metrics = json.loads(out)["metrics"]
    sizes = {name: metrics[f"accuracy/{name}"]["n"] for name in ("camera/door", "camera/hall", "light/day")}
    assert sizes == {"camera/door": 6, "camera/hall": 6, "light/day": 8}
    assert metrics["accuracy/light/(empty)"]["n"] == 4
    door = metrics["accuracy/camera/door"]
    assert 0 <= door["low"] < door["value"] <= door["high"] <= 1
    plain = json.loads(run(capsys, "evaluate", table, "--model", model, "--format", "json")[1])["metrics"]
    assert "accuracy/camera/door" not in plain
    assert plain.items() <= metrics.items()


def test_several_tables_are_compared_by_a_column(capsys, model, table, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(table.read_text())
    code, out, err = run(capsys, "evaluate", table, other, "--model", model, "--by", "camera", "--format", "json")
    assert code == 0, err
    assert "camera" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--by", "camra"), 1, "--by camra: DATA has no such column; its columns are camera, light, size."),
        (("--by", "size"), 1, "'size'] is a built-in slice; rename the column"),
        (("--by", "camera", "--robustness"), 2, "is for face crops without --robustness"),
    ],
)
def test_mistakes_are_told(capsys, model, table, arguments, code, message):
    ended, _, err = run(capsys, "evaluate", table, "--model", model, *arguments)
    assert ended == code
    assert message in " ".join(err.split())


def test_folders_have_no_columns(capsys, model, data):
    arguments = ("--split", "Validation", "--by", "camera")
    code, _, err = run(capsys, "evaluate", data, "--model", model, *arguments)
    assert code == 1
    assert "only tables of face crops have columns" in err
