"""Output and files of the benchmark command; speed is not tested."""

import json

import pytest
from PIL import Image

from benchmarks.peers.__main__ import main
from maskkit import MaskClassifier
from maskkit.testing import make_faces

KEYS = {
    *("row", "work", "peer", "ratio", "low", "high", "n_rounds", "goal", "met", "n_images", "seconds", "peer_seconds"),
    "note",
}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ending:
        main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return ending.value.code or 0, captured.out, captured.err


@pytest.fixture(scope="module")
def faces_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for index, (image, label) in enumerate(zip(*make_faces(40), strict=True)):
        (folder / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def photos_folder(tmp_path_factory):
    """Photos of one face each; the first has a class that the face crops do not have."""
    folder = tmp_path_factory.mktemp("photos")
    images, labels = make_faces(6)
    for index, (image, label) in enumerate(zip(images, ["mask_weared_incorrect", *labels[1:]], strict=True)):
        Image.fromarray(image).save(folder / f"{index}.png")
        box = "<bndbox><xmin>8</xmin><ymin>4</ymin><xmax>56</xmax><ymax>60</ymax></bndbox>"
        annotation = f"<annotation><object><name>{label}</name>{box}</object></annotation>"
        (folder / f"{index}.xml").write_text(annotation)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "model"
    MaskClassifier("timm:test_resnet", weights=None, image_size=32, fine_tune=False).fit(*make_faces(16)).save(out)
    return out


def quick(model, rows):
    return ("--quick", "--model", model, "--backbone", "timm:test_resnet", "--weights", "none", "--rows", rows)


def test_rows_of_training_prediction_and_growth(faces_folder, model, tmp_path, capsys):
    pytest.importorskip("skorch")
    rows = "predict,fit,finetune,memory,scaling,parity"
    out = tmp_path / "benchmark.json"
    code, table, err = run(capsys, faces_folder, *quick(model, rows), "--json", out)
    assert code == 0, err
    found = json.loads(out.read_text())
    assert [set(row) for row in found["rows"]] == [KEYS] * len(found["rows"])
    assert list(dict.fromkeys(row["row"] for row in found["rows"])) == [
        *("fit", "finetune", "predict", "memory", "scaling")
    ]
    assert len(found["rows"]) == 2 + 1 + 2 * 2 + 1 + 2 * 3
    assert [row["goal"] for row in found["rows"] if row["row"] == "scaling"] == ["<= 2", "<= 2", "<= 4"] * 2
    for row in found["rows"]:
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert row["n_rounds"] == 1
    assert all(0 <= parity["equal_labels"] <= 1 for parity in found["parity"] if parity["n_images"])
    assert any(parity["n_images"] == 32 for parity in found["parity"])
    assert found["machine"]["n_cores"] >= 1
    assert found["machine"]["versions"]["torch"][0].isdigit()
    assert found["sizes"]["n_train"] == 16
    assert max(map(len, table.splitlines())) <= 80
    assert "Parity with float32 in torch" in table
    assert f"written: {out}" in err


def test_rows_of_photos(faces_folder, photos_folder, model, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    code, out, err = run(
        capsys, faces_folder, photos_folder, *quick(model, "photos,parity"), *("--rounds", "2", "--format", "json")
    )
    assert code == 0, err
    found = json.loads(out)
    assert [row["n_images"] for row in found["rows"]] == [6, 6]
    assert all(row["ratio"] > 0 and row["n_rounds"] == 2 for row in found["rows"])
    # The face whose class is not in FACES is left out.
    assert {parity["n_images"] for parity in found["parity"]} >= {37}


def test_missing_library_of_a_peer_raises_with_the_extra(faces_folder, model, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.peers.rows.find_spec", lambda name: None)
    code, _, err = run(capsys, faces_folder, *quick(model, "fit"))
    assert code == 1
    assert "need skorch; install them: pip install 'maskkit[benchmark]'" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rows", "fit,beauty"), "'beauty'; choose from fit, finetune"),
        (("--rows", "accuracy"), "accuracy needs PHOTOS"),
        (("--weights", "mine.pth"), "want imagenet or none"),
    ],
)
def test_wrong_usage_is_reported(options, message, faces_folder, capsys):
    code, _, err = run(capsys, faces_folder, *options)
    assert code == 2
    assert message in " ".join(err.replace("\u2502", " ").split())


def test_photos_in_place_of_faces_are_rejected(photos_folder, capsys):
    code, _, err = run(capsys, photos_folder)
    assert code == 1
    assert "pass face crops first" in err


def test_json_file_is_checked_before_the_measurement(faces_folder, model, tmp_path, capsys):
    code, _, err = run(capsys, faces_folder, *quick(model, "predict"), "--json", tmp_path / "gone" / "b.json")
    assert code == 1
    assert "No such file or directory" in err
    assert "round" not in err
