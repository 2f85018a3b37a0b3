"""Commands replace no file of the user's, and a second run neither reads nor replaces the results of the first."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from maskkit import MaskClassifier
from maskkit.testing import make_faces
from tests.cli.conftest import QUICK, run, write_faces


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with photos, into which commands are called."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in zip(("a.jpg", "b.png", "c.png"), make_faces(3)[0], strict=True):
        Image.fromarray(image).save(folder / name)
    (folder / "a.png").write_bytes(b"a file of mine")
    os.link(folder / "b.png", folder / "hard.png")
    (folder / "soft.png").symlink_to("b.png")
    monkeypatch.chdir(folder)
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_kept(before, folder):
    after = contents(folder)
    assert {path: after[path] for path in before} == before
    return {str(path.relative_to(folder)) for path in after.keys() - before.keys()}


def test_predict_beside_other_files_numbers_its_own(here, model, capsys):
    before = contents(here)
    for expected in ({"a-2.png", "a-2-1-with_mask.png"}, {"a-3.png", "a-3-1-with_mask.png"}):
        written = contents(here)
        code, _, err = run(capsys, "predict", "a.jpg", "-m", model, "--out", ".", "--save-crops", ".")
        assert (code, err.count("written: ")) == (0, 2)
        assert {name.replace("without", "with") for name in assert_kept(written, here)} == expected
    assert_kept(before, here)


def test_a_crop_named_like_a_photo_does_not_replace_it(here, model, capsys):
    crops = [here / f"b-1-{label}.png" for label in ("with_mask", "without_mask")]
    for crop in crops:
        crop.write_bytes(b"a photo of mine")
    before = contents(here)
    assert run(capsys, "predict", "b.png", "-m", model, "--save-crops", ".")[0] == 0
    (name,) = assert_kept(before, here)
    assert name.startswith("b-2-1-")


@pytest.mark.parametrize("source", ["b.png", "hard.png", "soft.png", "./../photos/b.png"])
def test_explain_keeps_its_source(here, model, capsys, source):
    before = contents(here)
    assert run(capsys, "explain", source, "-m", model, "--out", ".", "--crops")[0] == 0
    assert len(assert_kept(before, here)) == 1


@pytest.mark.parametrize(
    "command", ["predict . --save-crops .", "predict . --out .", "explain . --out .", "predict * --out ."]
)
def test_the_input_folder_is_no_output_folder(here, model, capsys, command):
    before = contents(here)
    code, _, err = run(capsys, *command.split(), "-m", model)
    assert code == 1
    assert "is the input folder and the output folder" in err
    assert assert_kept(before, here) == set()


@pytest.mark.parametrize("source", [".", "**", "../photos"])
def test_a_second_run_does_not_read_the_results_of_the_first(here, model, capsys, source):
    (here / "a.png").unlink()
    command = ("predict", source, "-m", model, "--out", "deep/drawn", "--save-crops", "crops", "--format", "json")
    counts = [len(json.loads(run(capsys, *command)[1])) for _ in range(3)]
    assert counts == [5, 5, 5]
    counts = [len(json.loads(run(capsys, "explain", source, "-m", model, "--format", "json")[1])) for _ in range(2)]
    assert counts[0] == counts[1]  # its default folder is ./explained


def test_a_second_run_of_data_commands_reads_the_same_data(tmp_path, model, capsys):
    data = write_faces(tmp_path / "faces", 12)
    before = contents(data)
    for command in (
        ("data", "info", data, "--plots", data / "plots", "--format", "json"),
        ("evaluate", data, "-m", model, "--plots", data / "figures", "--format", "json"),
        ("train", data, "--out", data / "model", *QUICK, "--overwrite"),
    ):
        first, second = run(capsys, *command), run(capsys, *command)
        assert (first[0], second[0]) == (0, 0), second[2]
        assert first[1] == second[1]
        for folder in ("plots", "figures"):
            for path in (data / folder).glob("*"):
                path.rename(tmp_path / f"{folder}-{path.name}")
            if (data / folder).exists():
                (data / folder).rmdir()
    assert_kept(before, data)


def test_a_picture_of_faces_is_not_written_among_them(tmp_path, capsys, monkeypatch):
    data = write_faces(tmp_path / "faces", 4)
    monkeypatch.chdir(data)
    code, _, err = run(capsys, "data", "collage", ".")
    assert (code, "is inside DATA" in err) == (1, True)
    monkeypatch.chdir(tmp_path)
    for name in ("collage.png", "collage-2.png"):
        assert f"written: {name}" in run(capsys, "data", "collage", "faces")[2]


@pytest.mark.parametrize(
    "command",
    [
        "demo --out {0}",
        "data collage {1} --out {0}",
        "evaluate {1} --out {0}",
        "evaluate {1} --report json:{0}",
        "watch {0} --out {0}",
        "watch {0} --events {0}",
    ],
)
def test_a_file_that_was_named_is_never_replaced(tmp_path, model, capsys, command):
    data, mine = write_faces(tmp_path / "faces", 4), tmp_path / ("mine.mp4" if "watch" in command else "mine.png")
    if "watch" in command:
        pytest.importorskip("av")
        from tests.video.videos import write_video

        write_video(mine)
    else:
        mine.write_bytes(b"a file of mine")
    before = contents(tmp_path)
    if "demo" not in command and "collage" not in command:
        command += f" -m {model}"
    code, _, err = run(capsys, *command.format(mine, data).split())
    assert code == 1
    assert "exists already" in err or "holds something else than events" in err
    assert assert_kept(before, tmp_path) == set()


def test_training_that_ends_second_does_not_replace_the_model_of_the_first(tmp_path, data, capsys, monkeypatch):
    fit = MaskClassifier.fit

    def fit_slowly(self, *args, **kwargs):
        fit(self, *args, **kwargs)
        self.save(tmp_path / "model")  # as another training would meanwhile
        return self

    monkeypatch.setattr(MaskClassifier, "fit", fit_slowly)
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "model", *QUICK)
    assert code == 0
    assert f"written: {tmp_path / 'model-2'} (" in err


@pytest.mark.parametrize("words", [["predict", "", "--out", ""], ["predict", "a.jpg", "--out="], ["data", "info", ""],
                                   ["predict-batch", "a.jpg", "--out", ""], ["train", "x", "-o", ""],
                                   ["watch", ""], ["export", "--out", ""], ["demo", "--out", ""]])  # fmt: skip
def test_an_empty_argument_is_an_error(here, capsys, words):
    before = contents(here)
    code, out, err = run(capsys, *words)
    assert (code, out) == (1, "")
    assert "an empty path" in err
    assert assert_kept(before, here) == set()


NAMES = [
    b"caf\xe9.png",
    b"esc\x1b[31mred.png",
    b"cr\rlf\n.png",
    b"x" * 245 + b".png",
    b"c1\x9b31m.png",
    "ü\u202e.png".encode(),
]


@pytest.fixture
def odd(tmp_path):
    """A folder with files whose names are odd but allowed."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, image in zip(NAMES, make_faces(len(NAMES))[0], strict=True):
        try:
            path = os.path.join(os.fsencode(folder), name)
            Image.fromarray(image).save(os.fsdecode(path))
        except OSError:
            pytest.skip("this file system takes no such names")
    (folder / "bad\x1b]0;title\x07.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_no_name_ends_a_run_or_reaches_the_terminal(odd, model, tmp_path, encoding, form):
    out = tmp_path / "out"
    words = ["predict", odd, "-m", model, "--out", out, "--save-crops", out, "--format", form]
    code = "import sys; from maskkit.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    text, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 1
    assert "1 of 7 photos could not be read" in err
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text + err)
    assert len(list(out.iterdir())) == 2 * len(NAMES)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(rows) == 7
        assert {row["status"] for row in rows} == {"ok", "unreadable"}
    elif form != "table":
        found = json.loads(text) if form == "json" else [json.loads(line) for line in text.split("\n")[:-1]]
        assert {os.path.basename(os.fsencode(photo["source"])) for photo in found} >= set(NAMES)


def test_odd_names_of_classes_and_files_pass_through_every_command(tmp_path, model, capsys):
    classes = [os.fsdecode(b"with\xe9"), "with\x1b[31m|\nout"]
    data = write_faces(tmp_path / os.fsdecode(b"d\xff"), 12, classes=classes)
    trained = tmp_path / os.fsdecode(b"m\xff" + b"o" * 200)
    commands = [
        ("train", data, "--out", trained, *QUICK),
        ("evaluate", data, "-m", trained, "--plots", tmp_path / "plots", "--out", tmp_path / "r.json"),
        ("data", "info", data, "--plots", tmp_path / "plots"),
        ("data", "collage", data, "--out", tmp_path / "c.png"),
        ("predict", data, "-m", trained, "--save-crops", tmp_path / "crops", "--format", "csv"),
        ("explain", data, "--crops", "-m", trained, "--out", tmp_path / "explained"),
    ]
    for command in commands:
        code, out, err = run(capsys, *command)
        assert code == 0, err
        assert "\x1b" not in out + err
    assert "\x1b" not in (trained / "README.md").read_text(encoding="utf-8")
    assert set(json.loads((trained / "maskkit.json").read_bytes())["classes"]) == set(classes)
    json.loads((tmp_path / "r.json").read_bytes())


@pytest.mark.parametrize(
    "command", ["predict . --out ../out", "predict . --save-crops ../out", "explain . --out ../out"]
)
def test_a_photo_that_is_removed_meanwhile_does_not_end_the_run(here, model, capsys, monkeypatch, command):
    predict_photos = MaskClassifier.predict_photos

    def predict_and_remove(self, paths, **options):
        for photo in predict_photos(self, paths, **options):
            if photo.name.endswith("c.png"):
                os.remove(photo.name)
            yield photo

    (here / "a.png").unlink()
    monkeypatch.setattr(MaskClassifier, "predict_photos", predict_and_remove)
    code, _, err = run(capsys, *command.split(), "-m", model)
    assert code == 1
    assert "c.png: no such file" in err
    assert len(list((here.parent / "out").iterdir())) == 4


def test_a_photo_that_is_named_like_a_face_crop_of_an_earlier_one_ends_no_run(here, model, capsys):
    for label in ("with_mask", "without_mask"):
        os.link(here / "b.png", here / f"b-1-{label}.png")
    photos = ["b.png", "b-1-with_mask.png", "b-1-without_mask.png"]
    code, _, err = run(capsys, "predict", *photos, "-m", model, "--out", "new", "--save-crops", "new")
    assert code == 0, err
    assert len(os.listdir("new")) == 6


def test_a_picture_that_another_process_wrote_meanwhile_ends_no_run(here, model, capsys, monkeypatch):
    def take_late(name, max_bytes):
        (here / "new").mkdir(exist_ok=True)
        (here / "new" / "b.png").write_bytes(b"of another process")
        return name

    monkeypatch.setattr("maskkit.cli._outputs.shorten_name", take_late)
    assert run(capsys, "explain", "b.png", "-m", model, "--out", "new", "--crops")[0] == 0
    assert sorted(os.listdir("new")) == ["b-2.png", "b.png"]
    assert (here / "new" / "b.png").read_bytes() == b"of another process"


def test_photos_in_an_output_folder_are_not_left_out_in_silence(here, model, capsys):
    (here / "2023").mkdir()
    os.link(here / "b.png", here / "2023" / "mine.png")
    for n_left_out in ("1 image", "6 images"):  # mine, and with the results of the first run
        err = run(capsys, "predict", ".", "-m", model, "--out", "2023")[2]
        assert f"left out: {n_left_out} of . inside an output folder" in err


@pytest.mark.parametrize(
    "command", ["data info {0} --plots {0}", "data audit {0} --plots {0}", "evaluate {0} --plots {0} -m {1}",
                "evaluate {0} --report plots:{0} -m {1}", "train {0} --plots {0} --out new"],
)  # fmt: skip
def test_plots_are_not_written_beside_class_folders(tmp_path, model, capsys, command):
    data = write_faces(tmp_path / "faces", 4)
    before = contents(data)
    code, _, err = run(capsys, *command.format(data, model).split())
    assert (code, "is the input folder and the output folder" in err) == (1, True), err
    assert assert_kept(before, data) == set()


def test_a_class_folder_that_is_an_output_folder_is_told(tmp_path, capsys):
    data = write_faces(tmp_path / "faces", 6, classes=("with_mask", "without_mask", "third"))
    assert "left out: 2 images of" in run(capsys, "data", "info", data, "--plots", data / "third")[2]


def test_plots_of_a_reporter_are_no_class_of_the_next_run(tmp_path, model, capsys):
    data = write_faces(tmp_path / "faces", 8)
    command = ("evaluate", data, "-m", model, "--report", f"plots:{data / 'plots'}", "--format", "json")
    first, second = run(capsys, *command), run(capsys, *command)
    assert (first[0], second[0]) == (0, 0), second[2]
    assert first[1] == second[1]
