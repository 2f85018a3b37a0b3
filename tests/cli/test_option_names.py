"""Messages of the library in the words of the command line."""

import pytest
import typer

from maskkit.cli import app, use_option_names
from tests.cli.conftest import run, write_faces

COMMAND = typer.main.get_command(app)


@pytest.mark.parametrize(
    ("arguments", "message", "expected"),
    [
        ("train x", "use backbone='efficientnet_lite0' now", "use --backbone efficientnet_lite0 now"),
        ("train x", "either pass weights=PATH, a file", "either pass --weights PATH, a file"),
        ("train x", "use 'imagenet' or weights=None.", "use 'imagenet' or --weights none."),
        ("train x", "batch_size=0 is too small.", "--batch-size 0 is too small."),
        ("train x", "fine_tune=True, or fine_tune=False.", "--fine-tune, or --frozen."),
        ("train x", "checkpoint=DIR saves", "--checkpoint DIR saves"),
        ("train x", "head=None and cv=5 have no option", "head=None and cv=5 have no option"),
        ("train x", "pass max_px=5 (--max-pixels 5 on the command line).", "pass --max-pixels 5."),
        ("data audit x", "backbone='x' is unknown here", "backbone='x' is unknown here"),
        (
            "predict x",
            "device='cuda' is not available; use device='auto'.",
            "--device cuda is not available; use --device auto.",
        ),
        ("", "weights=None", "weights=None"),
        ("predict x", "Pass one of them or an instance.", "Pass one of them."),
        ("predict x", "want a name (a, b) or an instance with detect().", "want a name (a, b)."),
        ("predict x", "uninstall one of them, or pass an instance.", "uninstall one of them."),
        ("predict x", "pass 'a', or in Python an instance with its parameters.", "pass 'a'."),
        ("train x", "use 'balanced', a dict of classes or None.", "use 'balanced'."),
        ("train x", "want the path of a folder, or None.", "want the path of a folder."),
        ("serve", "pass a secret, or None for a server without a token.", "pass a secret."),
        ("train x", "is for one of them or an instance of it", "is for one of them or an instance of it"),
        ("no-such-command", "file: a=b", "file: a=b"),
    ],
)
def test_parameters_become_the_options_of_the_command(arguments, message, expected):
    assert use_option_names(message, COMMAND, arguments.split()) == expected


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_weights_that_cannot_be_found_are_reported_before_images_are_read(on_error, tmp_path, capsys, monkeypatch):
    folder = write_faces(tmp_path / "faces", 12)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"never read")
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code, _, err = run(capsys, "train", folder, "--out", tmp_path / "model", "--on-error", on_error)
    assert code == 1
    assert "MASKKIT_OFFLINE is set" in err
    assert "--weights PATH" in err
    assert "--backbone efficientnet_lite0" in err
    assert "backbone=" not in err
    assert len(err.strip().splitlines()) == 1


def test_train_says_which_layers_it_trains_and_how_to_train_the_others(tmp_path, capsys):
    folder = write_faces(tmp_path / "faces", 12)
    options = ("--backbone", "timm:test_resnet", "--weights", "none", "--image-size", 48, "--epochs", 1)
    _, _, frozen = run(capsys, "train", folder, "--out", tmp_path / "frozen", *options, "--frozen")
    assert "Training only the head, on the features of 12 images." in frozen
    assert "--fine-tune" in frozen
    _, _, tuned = run(capsys, "train", folder, "--out", tmp_path / "tuned", *options, "--fine-tune")
    assert "Training every layer on 12 images in 1 epoch." in tuned
    assert "--frozen" in tuned
    _, _, quiet = run(capsys, "train", folder, "--out", tmp_path / "quiet", *options, "--frozen", "--quiet")
    assert "Training" not in quiet
