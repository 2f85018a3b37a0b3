"""maskkit train --config, and the file of options in each model."""

import json
import tomllib

import pytest

from tests.cli.conftest import QUICK, run


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_in_a_model_repeats_its_training(capsys, model, tmp_path):
    code, _, err = run(capsys, "train", "--config", model / "train.toml", "--out", tmp_path / "again")
    assert code == 0, err
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model, tmp_path / "again")]
    assert weights[0] == weights[1]
    first, second = (tomllib.loads((folder / "train.toml").read_text()) for folder in (model, tmp_path / "again"))
    assert second == first | {"out": str(tmp_path / "again")}
    assert not {"overwrite", "config", "help"} & set(first)


def test_it_replaces_no_model_by_itself(capsys, model):
    code, _, err = run(capsys, "train", "--config", model / "train.toml")
    assert code == 1
    assert "already exists; choose another name or add --overwrite" in err


def test_options_of_the_command_line_win(capsys, data, tmp_path):
    config = write(tmp_path / "my.toml", "epochs = 2\nbatch_size = 4\nno-augment = true\nseed = 3\n")
    arguments = ("train", data, "--config", config, "--epochs", 3, "--out", tmp_path / "model", *QUICK)
    code, _, err = run(capsys, *arguments)
    assert code == 0, err
    params = json.loads((tmp_path / "model" / "maskkit.json").read_text())["params"]
    assert (params["epochs"], params["augment"], params["random_state"]) == (3, None, 3)
    used = tomllib.loads((tmp_path / "model" / "train.toml").read_text())
    assert (used["epochs"], used["batch-size"], used["no-augment"]) == (3, 4, True)
    # The command may replace a model that has such a file.
    assert run(capsys, *arguments, "--overwrite")[0] == 0


def test_both_names_of_a_flag_are_keys(capsys, data, tmp_path):
    for name, text in (("only-head", "frozen = true"), ("all", "frozen = false")):
        config = write(tmp_path / "my.toml", f"{text}\nepochs = 1\n")
        quick = [option for option in QUICK if option not in ("--frozen", "--fine-tune")]
        code, _, err = run(capsys, "train", data, "--config", config, "--out", tmp_path / name, *quick)
        assert code == 0, err
        used = tomllib.loads((tmp_path / name / "train.toml").read_text())
        assert used["fine-tune"] == (name == "all")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epocs = 3", "epocs is no option of train; did you mean epochs?"),
        ("learning_rat = 0.1", "did you mean learning-rate?"),
        ("config = 'x'", "config is no option of train"),
        ("[train]\nepochs = 3", "train is no option of train; want some of data, out"),
        ("[epochs]\nx = 3", "epochs = {'x': 3}; want a number or a text"),
        ("epochs = true", "epochs = True; want a number or a text"),
        ("fine-tune = 1", "fine-tune = 1; want true or false"),
        ("epochs: 3", "is not TOML"),
        ("epochs = 0", "Input should be greater than or equal to 1"),
        ("epochs = 'many'", "Input should be a valid integer"),
    ],
)
def test_mistakes_in_a_file_are_told_before_anything_is_done(capsys, data, tmp_path, text, message):
    config = write(tmp_path / "my.toml", text)
    code, _, err = run(capsys, "train", data, "--out", tmp_path / "model", "--config", config)
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_missing_is_told(capsys, tmp_path):
    code, _, err = run(capsys, "train", "--config", tmp_path / "none.toml")
    assert code == 2
    assert "none.toml: cannot be read (No such file or directory); check the path" in " ".join(err.split())


@pytest.mark.parametrize("name", ['Fälle "1" \\ 2\n\x7f😷', "two\tcolumns"])
def test_names_of_any_text_are_written_and_read(capsys, data, tmp_path, name):
    folder = tmp_path / name
    folder.symlink_to(data)
    code, _, err = run(capsys, "train", folder, "--out", tmp_path / "model", "--epochs", 1, *QUICK)
    assert code == 0, err
    written = (tmp_path / "model" / "train.toml").read_text(encoding="utf-8")
    assert tomllib.loads(written)["data"] == str(folder)


def test_a_name_that_is_not_utf8_is_a_comment(capsys, data, tmp_path):
    folder = tmp_path / "f\udce9"
    folder.symlink_to(data)
    assert run(capsys, "train", folder, "--out", tmp_path / "model", "--epochs", 1, *QUICK)[0] == 0
    written = (tmp_path / "model" / "train.toml").read_text(encoding="utf-8")
    assert "data" not in tomllib.loads(written)
    assert "(bytes that are not UTF-8 have no form in TOML)" in written


def test_images_are_augmented_on_the_device_if_asked(data, tmp_path, capsys):
    options = ["--out", tmp_path / "model", *QUICK, "--fine-tune", "--epochs", 1]
    assert run(capsys, "train", data, "--augment-on-device", *options)[0] == 0
    assert json.loads((tmp_path / "model" / "maskkit.json").read_text())["params"]["augment"] == "device"
    code, _, err = run(capsys, "train", data, "--augment-on-device", "--no-augment", "--out", tmp_path / "other")
    assert code == 2
    assert "excludes --no-augment" in err
