"""What each command prints and writes, where, and with which exit code."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskkit import MaskClassifier
from maskkit._training.checkpoint import Checkpoint
from maskkit.cli import main
from maskkit.testing import make_faces
from tests.cli.conftest import QUICK, run
from tests.helpers import forget_packaged_files


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "one face.png"
    Image.fromarray(make_faces(1)[0][0]).save(path)
    return path


def test_train_writes_a_model_that_predicts(model, data):
    loaded = MaskClassifier.load(model)
    assert loaded.classes_.tolist() == ["with_mask", "without_mask"]
    assert loaded.class_counts_.tolist() == [6, 6]
    assert len(loaded.predict(sorted(data.glob("Validation/*/*")))) == 12


def test_train_overwrites_only_with_overwrite(model, data, capsys):
    code, _, err = run(capsys, "train", data, "--out", model, "--backbone", "timm:test_resnet", "--weights", "none")
    assert code == 1
    assert "already exists; choose another name or add --overwrite" in err


def test_train_fine_tunes_and_reports_what_it_saved(data, tmp_path, capsys):
    options = [*QUICK[:-2], "--fine-tune", "--epochs", "1", "--half"]  # without --quiet
    code, out, err = run(capsys, "train", data, "--out", tmp_path / "m", *options)
    assert code == 0
    assert "trained on 6 with_mask, 6 without_mask" in out
    assert f"written: {tmp_path / 'm'}" in err
    assert "epoch 1/1" in err


def test_train_by_the_recipe_of_the_original_notebook(data, tmp_path, capsys):
    options = [
        "--fine-tune",
        "--image-size",
        "224",
        "--no-augment",
        "--no-find-face",
        "--epochs",
        "2",
        "--batch-size",
        "16",
    ]
    code, _, _ = run(capsys, "train", data, "--out", tmp_path / "m", *QUICK, *options)
    assert code == 0
    model = MaskClassifier.load(tmp_path / "m")
    assert model.fine_tuned_
    assert len(model.history_) == 2
    params = json.loads((tmp_path / "m" / "maskkit.json").read_text())["params"]
    wanted = {"image_size": 224, "augment": None, "find_face": False}
    assert {name: params[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("options", "measured"),
    [
        ([], "After each epoch, 12 images of the split validation are measured (--validation-split none: no)."),
        (
            ["--early-stopping", "--validation-split", "VALIDATION"],
            "After each epoch, 12 images of the split validation",
        ),
        (["--validation", "DATA", "--validation-split", "train"], "12 images of the split train in DATA are measured."),
        (["--validation", "DATA/Validation"], "After each epoch, 12 images in DATA/Validation are measured."),
        (["--validation-split", "none"], ""),
        (["--early-stopping"], ""),
        (["--split", "validation"], ""),
    ],
)
def test_train_measures_the_validation_split_or_other_data(data, tmp_path, capsys, options, measured):
    options = [option.replace("DATA", str(data)) for option in options]
    quick = [option for option in QUICK if option != "--quiet"]
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "m", *quick, "--epochs", 2, *options)
    assert code == 0, err
    assert measured.replace("DATA", str(data)) in err
    assert ("After each epoch" in err) == bool(measured)
    (card,) = [line for line in (tmp_path / "m" / "README.md").read_text().splitlines() if line.startswith("| epoch")]
    assert ("validation loss" in card) == (bool(measured) or options == ["--early-stopping"])
    if measured:
        assert f"Epoch {2 if '--early-stopping' not in options else ''}" in err
        assert "12 validation images: accuracy" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--validation-split", "train"], "this is the split that is trained on; choose another one"),
        (["--validation-split", "other"], "--validation-split other: no such split; DATA has train, validation"),
        (["--validation", "nowhere"], "nowhere: no such folder"),
        (["--report", "json"], "callback 'json' cannot be called in training"),
    ],
)
def test_train_names_validation_and_reporters_that_it_cannot_use(data, tmp_path, capsys, options, message):
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "m", *QUICK, *options)
    assert code != 0
    assert message in " ".join(err.replace("│", "").split())


def test_train_reports_each_epoch(data, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    report = f"tensorboard:{tmp_path / 'runs'}"
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "m", *QUICK, "--epochs", 2, "--report", report)
    assert code == 0, err
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_train_resumes_from_its_checkpoint(data, tmp_path, capsys, monkeypatch):
    options = [*QUICK[:-2], "--fine-tune", "--epochs", "3", "--gradient-accumulation-steps", "2", "--batch-size", "4"]
    options += ["--checkpoint", tmp_path / "state"]
    save = Checkpoint.save

    def stop(self, parts, device, *, history):
        save(self, parts, device, history=history)
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stop)
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "m", *options)
    assert (code, (tmp_path / "state").is_dir(), err.count("epoch ")) == (130, True, 2)
    kept = tmp_path / "state" / "checkpoint.pt"
    assert f"maskkit: interrupted after 2 of 3 epochs, which are saved in {kept}; the same fit resumes" in err
    monkeypatch.setattr(Checkpoint, "save", save)
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "m", *options)
    assert (code, (tmp_path / "state").exists(), err.count("\nepoch ")) == (0, False, 1)
    assert "Resuming after epoch 2 of 3." in err
    assert "epoch 3/3" in err
    assert f"written: {tmp_path / 'm'}" in err


def test_evaluate_prints_a_table_and_writes_reports(model, data, tmp_path, capsys):
    arguments = ("--split", "Validation", "--model", model, "--out", tmp_path / "r.json", "--plots", tmp_path / "p")
    code, out, _ = run(capsys, "evaluate", data, *arguments)
    assert code == 0
    assert "accuracy" in out
    assert max(map(len, out.splitlines())) <= 80
    assert json.loads((tmp_path / "r.json").read_text())["n_faces"] == 12
    assert list((tmp_path / "p").glob("*.png"))


def test_evaluate_writes_a_page_with_the_command_and_the_model(model, data, tmp_path, capsys):
    report = ("--report", f"html:{tmp_path / 'r.html'}")
    other = f"json:{tmp_path}/x://user:hidden@host/r.json"
    code, _, err = run(capsys, "evaluate", data, "--split", "Validation", "--model", model, *report, "--report", other)
    assert code == 0, err
    assert f"written: {tmp_path / 'r.html'}" in err
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"maskkit evaluate {data} --split Validation --model {model} --report html:" in page
    assert MaskClassifier.load(model).predictor_.model_sha256 in page
    assert "hidden" not in page
    code, _, err = run(capsys, "evaluate", data, "--split", "Validation", "--model", model, *report)
    assert (code, "r.html: exists already" in err) == (1, True), err


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_evaluate_prints_machine_readable_formats(model, data, form, capsys):
    code, out, _ = run(capsys, "evaluate", data, "--split", "validation", "--model", model, "--format", form)
    assert code == 0
    if form == "json":
        assert json.loads(out)["n_faces"] == 12
    elif form == "jsonl":
        assert {json.loads(line)["metric"] for line in out.splitlines()} >= {"accuracy"}
    else:
        assert "accuracy" in [row["metric"] for row in csv.DictReader(io.StringIO(out))]


def test_evaluate_fails_below_a_limit(model, data, capsys):
    arguments = ("evaluate", data, "--split", "Validation", "--model", model, "--fail-under")
    assert run(capsys, *arguments, "accuracy=0")[0] == 0
    code, _, err = run(capsys, *arguments, "accuracy=1.1")
    assert code == 1
    assert "below the limit: accuracy" in err
    code, _, err = run(capsys, *arguments, "beauty=0.5")
    assert code == 1
    assert "--fail-under beauty is unknown; the metrics are accuracy" in err
    assert run(capsys, *arguments, "accuracy=high")[0] == 2


def test_evaluate_requires_a_split(model, data, capsys):
    code, _, err = run(capsys, "evaluate", data, "--model", model)
    assert code == 2
    assert "DATA has train, validation" in err


@pytest.fixture
def photos(tmp_path):
    """Photos of one face each, annotated whole, one of a class that the model does not have."""
    folder = tmp_path / "photos"
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    labels = ["with_mask", "without_mask", "with_mask", "mask_weared_incorrect"]
    for index, (image, label) in enumerate(zip(make_faces(4)[0], labels, strict=True)):
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>64</xmax><ymax>64</ymax></bndbox>"
        annotation = f"<annotation><object><name>{label}</name>{box}</object></annotation>"
        (folder / "annotations" / f"{index}.xml").write_text(annotation)
    return folder


def test_train_measures_annotated_photos(data, photos, tmp_path, capsys):
    arguments = ("train", data, "--out", tmp_path / "m", *QUICK, "--epochs", 1, "--validation", photos)
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "validation_data holds 'mask_weared_incorrect', which is not a class of y" in err
    annotation = photos / "annotations" / "3.xml"
    annotation.write_text(annotation.read_text().replace("mask_weared_incorrect", "with_mask"))
    assert run(capsys, *arguments)[0] == 0
    history = json.loads((tmp_path / "m" / "maskkit.json").read_text())["training"]["history"]
    assert [sum(row) for row in history[0]["validation_confusion"]] == [3, 1]


def test_evaluate_compares_several_data_with_the_first(model, data, photos, tmp_path, capsys):
    alone = data / "Train"
    arguments = (data, alone, photos, "--split", "Validation", "--model", model, "--out", tmp_path / "r.json")
    code, out, _ = run(capsys, "evaluate", *arguments)
    assert code == 0
    assert f"Drops from {data.name}" in out
    assert "photos: Left out, because the model has no such class: 1" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    sets = json.loads((tmp_path / "r.json").read_text())["data_sets"]
    assert {name: of_set["n_faces"] for name, of_set in sets.items()} == {data.name: 12, "Train": 12, "photos": 3}
    assert run(capsys, "evaluate", alone, photos, "--model", model, "--fail-under", "photos/accuracy=0")[0] == 0
    code, _, err = run(capsys, "evaluate", alone, alone, "--model", model)
    assert (code, "contains the same path twice" in err) == (2, True)


def test_evaluate_classifies_annotated_faces_with_crops(model, photos, capsys):
    _, found, _ = run(capsys, "evaluate", photos, "--model", model, "--format", "json")
    _, cut, _ = run(capsys, "evaluate", photos, "--model", model, "--crops", "--format", "json")
    assert json.loads(found)["kind"] == "photos"
    assert (json.loads(cut)["kind"], json.loads(cut)["n_photos"], json.loads(cut)["n_faces"]) == ("faces", 3, 3)


def test_evaluate_measures_robustness(model, data, photos, tmp_path, capsys):
    code, out, _ = run(
        capsys, "evaluate", data / "Validation", "--model", model, "--robustness", "--plots", tmp_path / "p"
    )
    assert code == 0
    assert "darkness" in out
    assert (tmp_path / "p" / "robustness.png").is_file()
    code, _, err = run(capsys, "evaluate", data / "Validation", photos, "--model", model, "--robustness")
    assert (code, "takes one DATA, not 2" in err) == (2, True)


def test_predict_prints_a_table(model, photo, capsys):
    code, out, _ = run(capsys, "predict", photo, "--model", model)
    assert code == 0
    assert "one face.png" in " ".join(out.split())  # a long path is wrapped
    assert "mask" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_predict_prints_machine_readable_formats(model, photo, form, capsys):
    code, out, err = run(capsys, "predict", photo, "--model", model, "--format", form)
    assert (code, err) == (0, "")
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(out))
    else:
        document = json.loads(out)[0] if form == "json" else json.loads(out)
        assert document["source"] == str(photo)
        (row,) = document["faces"]
    assert row["label"] in ("with_mask", "without_mask")


def test_predict_saves_pictures_and_crops_and_keeps_equal_names_apart(model, photo, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / photo.name).write_bytes(photo.read_bytes())
    saved, crops = tmp_path / "drawn", tmp_path / "crops"
    code, _, err = run(
        capsys, "predict", photo, other, "--model", model, "--out", saved, "--save-crops", crops, "--blur"
    )
    assert code == 0
    assert f"written: {saved}" in err
    assert sorted(path.name for path in saved.iterdir()) == ["one face-2.png", "one face.png"]
    assert len(list(crops.iterdir())) == 2


def test_predict_takes_folders_and_patterns(model, data, capsys):
    _, whole, _ = run(capsys, "predict", data / "Validation", "--model", model, "--format", "jsonl")
    _, pattern, _ = run(capsys, "predict", data / "Validation" / "*" / "*.png", "--model", model, "--format", "jsonl")
    assert len(whole.splitlines()) == len(pattern.splitlines()) == 12
    code, _, err = run(capsys, "predict", data / "*.bmp", "--model", model)
    assert code == 1
    assert "matches no file" in err


def test_predict_reports_unreadable_photos_and_continues(model, photo, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    code, out, err = run(capsys, "predict", broken, photo, "--model", model, "--format", "jsonl")
    assert code == 1
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["unreadable", "ok"]
    assert err.startswith(f"maskkit: {broken}: cannot be read as an image")
    assert err.endswith("maskkit: error: 1 of 2 photos could not be read\n")


def test_predict_prints_one_row_per_photo(model, photo, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    _, out, _ = run(capsys, "predict", broken, photo, "--model", model, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["status"] for row in rows] == ["unreadable", "ok"]
    assert rows[0]["label"] == ""
    assert rows[1]["label"]


def test_out_is_checked_before_training(data, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for out, said in ((other, "is not a maskkit model"), (photo_file(tmp_path) / "model", "cannot be written")):
        code, _, err = run(capsys, "train", data, "--out", out, "--backbone", "nothing", "--overwrite")
        assert code == 1
        assert said in err  # and not that the backbone is unknown
    assert (other / "notes.txt").read_text() == "mine"


def photo_file(folder):
    path = folder / "file.png"
    path.write_bytes(b"")
    return path


def test_a_folder_of_annotations_without_xml_says_what_is_wanted(tmp_path, capsys):
    (tmp_path / "annotations").mkdir()
    code, _, err = run(capsys, "train", tmp_path, "--out", tmp_path / "model")
    assert code == 1
    assert "contains no annotation (*.xml)" in err
    assert "of COCO, pass the file" in err


def test_reporters_are_checked_before_the_model_is_loaded(data, capsys):
    code, _, err = run(capsys, "evaluate", data, "--split", "validation", "--model", "gone/", "--report", "paper")
    assert code == 1
    assert "reporter 'paper' is unknown" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "a.jpg", "--blur"], "--blur"),
        (["demo", "--out", "picture.txt"], "unknown picture format"),
        (["data", "info", ".", "--format", "xml"], "--format"),
    ],
)
def test_bad_usage_names_the_option(arguments, said, capsys):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert said in " ".join(err.replace("\u2502", " ").split())


def test_a_url_is_rejected_unchanged(capsys):
    code, _, err = run(capsys, "predict", "https://example.com/a.jpg")
    assert code == 1
    assert "https://example.com/a.jpg: is a URL" in err


@pytest.mark.filterwarnings("default")
def test_skipped_images_are_reported_in_one_line(data, tmp_path, capsys):
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    (folder / "Train" / "with_mask" / "broken.png").write_bytes(b"nothing")
    code, _, err = run(capsys, "train", folder, "--out", tmp_path / "model", *QUICK, "--on-error", "skip")
    assert code == 0
    assert err.startswith("maskkit: warning: 1 of ")
    assert "train.py" not in err


def test_explain_writes_one_picture_per_photo(model, photo, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / photo.name).write_bytes(photo.read_bytes())
    saved = tmp_path / "explained"
    code, out, err = run(capsys, "explain", photo, other, "--model", model, "--out", saved)
    assert code == 0
    assert sorted(path.name for path in saved.iterdir()) == ["one face-2.png", "one face.png"]
    assert ["mask" in line for line in out.splitlines()] == [True, True]
    assert err.splitlines() == [f"written: {saved / 'one face.png'}", f"written: {saved / 'one face-2.png'}"]


def test_explain_takes_crops_and_a_class(model, data, tmp_path, capsys):
    saved = tmp_path / "explained"
    arguments = ("--crops", "--label", "without_mask", "--model", model, "--out", saved)
    code, out, _ = run(capsys, "explain", data / "Validation", *arguments)
    assert code == 0
    assert len(list(saved.iterdir())) == out.count("without_mask ") == 12
    code, _, err = run(capsys, "explain", data / "Validation", *arguments, "--label", "hat")
    assert code == 1
    assert "--label hat is not a class of this model" in err


@pytest.mark.parametrize("crops", [(), ("--crops",)])
def test_explain_reports_unreadable_photos_and_continues(crops, model, photo, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    saved = tmp_path / "explained"
    code, _, err = run(capsys, "explain", broken, photo, "--model", model, "--out", saved, *crops)
    assert code == 1
    assert "1 of the images could not be read" in err
    assert "broken.jpg" in err
    assert len(list(saved.iterdir())) == 1


def test_explain_reports_photos_without_faces(tmp_path, capsys):
    Image.new("RGB", (200, 200)).save(tmp_path / "empty.png")
    code, out, _ = run(capsys, "explain", tmp_path / "empty.png", "--out", tmp_path / "explained")
    assert (code, out) == (0, f"{tmp_path / 'empty.png'}: no face\n")
    assert not (tmp_path / "explained").exists()


def test_data_info_counts(data, tmp_path, capsys):
    code, out, _ = run(capsys, "data", "info", data, "--plots", tmp_path)
    assert code == 0
    assert "with_mask" in out
    assert max(map(len, out.splitlines())) <= 80
    assert (tmp_path / "data.png").is_file()
    code, out, _ = run(capsys, "data", "info", data, "--format", "json")
    assert json.loads(out)


def test_data_collage_of_a_size(data, tmp_path, capsys):
    size = ("--width", 600, "--height", 200)
    arguments = ("data", "collage", data, "--out", tmp_path / "collage.png", *size)
    assert run(capsys, *arguments, "--columns", 25, "--rows", 3, "--no-captions")[0] == 0
    with Image.open(tmp_path / "collage.png") as picture:
        assert picture.size == (600, 200)
    code, _, err = run(capsys, "data", "collage", data, "--out", tmp_path / "other.png", "--width", 600)
    assert code == 2
    assert "--width and --height: give both or neither" in err


def test_data_collage_writes_a_picture(data, tmp_path, capsys):
    code, _, err = run(capsys, "data", "collage", data, "--out", tmp_path / "collage.png", "--columns", 3, "--rows", 2)
    assert code == 0
    assert "written" in err
    with Image.open(tmp_path / "collage.png") as picture:
        assert picture.width > 300


def test_checks_shows_which_plugins_load(capsys):
    code, out, _ = run(capsys, "checks", "--format", "json")
    assert code == 0
    found = json.loads(out)
    assert found["detectors"]["centerface"] == "ok"
    assert found["detectors"]["maskkit"] == "ok"
    assert found["versions"]["torch"][0].isdigit()
    assert found["models"] == {"maskkit-lite0": "bundled"}
    assert "centerface" in run(capsys, "checks")[1]


def test_checks_tells_of_weights_whose_package_is_missing(capsys, monkeypatch):
    forget_packaged_files()
    monkeypatch.setattr("maskkit.detectors._weights.find_spec", lambda package: None)
    found = json.loads(run(capsys, "checks", "--format", "json")[1])["detectors"]
    for name, extra in (("centerface", "centerface"), ("dlib_cnn", "dlib-cnn")):
        assert re.search(rf"of the package \w+ is not installed; .*pip install 'maskkit\[{extra}\]'", found[name])
    assert found["maskkit"] == "ok"


def test_version_shows_the_lines_of_a_bug_report(capsys):
    code, out, _ = run(capsys, "version")
    assert code == 0
    assert out.splitlines()[0] == run(capsys, "--version")[1].strip()
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["maskkit", "python", "torch", "engine", "device"]
    assert all(line[1] != "None" and len(line) > 1 for line in lines)


def test_demo_finds_one_masked_and_one_unmasked_face(tmp_path, capsys):
    code, out, _ = run(capsys, "demo", "--out", tmp_path / "demo.png")
    assert code == 0
    with Image.open(tmp_path / "demo.png") as picture:
        assert np.asarray(picture).shape == (512, 1024, 3)
    assert "1 with_mask" in out
    assert "1 without_mask" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "gone.jpg"), "gone.jpg: no such file"),
        (("predict", "x.jpg", "--model", "no/model"), "no/model: is not a maskkit model"),
        (("predict", "x.jpg", "--model", "nothing"), "'nothing' is neither a folder nor a model that ships"),
        (("train", "no-folder", "--out", "m"), "no-folder: no such folder"),
        (("data", "info", "no-folder"), "no-folder: no such folder"),
    ],
)
def test_mistakes_end_with_one_line_and_exit_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert err.startswith("maskkit: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path):
    from maskkit.exceptions import DataError

    with pytest.raises(DataError, match="no such folder"):
        main(["data", "info", str(tmp_path / "gone"), "--debug"])


@pytest.mark.parametrize("arguments", [("predict",), ("fly",), ("evaluate", "x", "--format", "xml")])
def test_bad_usage_ends_with_2(arguments, capsys):
    assert run(capsys, *arguments)[0] == 2


@pytest.mark.parametrize(
    "verb", ["demo", "train", "evaluate", "predict", "explain", "checks", "data info", "data collage"]
)
def test_help_has_an_example(verb, capsys):
    code, out, _ = run(capsys, *verb.split(), "--help")
    assert code == 0
    assert f"Example: maskkit {verb}" in out


def test_program_is_installed():
    (entry,) = entry_points(group="console_scripts", name="maskkit")
    assert entry.load() is main
    script = Path(sys.executable).with_name("maskkit")
    for program in ([script], [sys.executable, "-m", "maskkit"]):
        done = subprocess.run([*program, "--version"], capture_output=True, check=True)
        assert done.stdout.startswith(b"maskkit ")


def test_predict_never_writes_over_a_photo(model, photo, capsys):
    before = photo.read_bytes()
    code, _, _ = run(capsys, "predict", photo, "--model", model, "--out", photo.parent)
    assert code == 0
    assert photo.read_bytes() == before
    assert (photo.parent / f"{photo.stem}-2.png").is_file()


def test_audit_prints_a_table_and_rejects_photos(data, photos, tmp_path, capsys):
    pytest.importorskip("cleanlab")
    pytest.importorskip("imagehash")
    code, out, _ = run(capsys, "data", "audit", data, "--plots", tmp_path / "audit")
    assert code == 0
    assert "Shortcuts" in out
    assert max(map(len, out.splitlines())) <= 80
    code, _, err = run(capsys, "data", "audit", photos)
    assert code == 2
    assert "audit needs face crops" in " ".join(err.split())


def test_large_photos_are_refused_with_the_option_that_reads_them(model, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000)
    path = tmp_path / "large.png"
    Image.new("RGB", (100, 50)).save(path)
    code, _, err = run(capsys, "predict", path, "--model", model)
    assert code == 1
    assert f"{path}: has 100 x 50 pixels, more than 4,000" in err
    assert "--max-pixels 5000" in err
    code, out, err = run(capsys, "predict", path, "--model", model, "--max-pixels", 5_000, "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["status"] == "ok"
    for command in (["explain", "--crops", path], ["explain", path]):
        code, _, err = run(capsys, *command, "--model", model, "--max-pixels", 4_999, "--out", tmp_path / "out")
        assert code == 1
        assert f"{path}: has 100 x 50 pixels; want 4,999 at most" in err
    monkeypatch.undo()
    for command in (["evaluate", data, "--model", model, "--split", "Validation"], ["data", "info", data]):
        run(capsys, *command, "--max-pixels", 100)
        assert run(capsys, *command)[0] == 0  # The limit of one command is not that of the next.
