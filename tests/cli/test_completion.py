"""Shell completion, which imports nothing heavy."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "sklearn", "numpy", "PIL", "openvino", "matplotlib", "timm")
SCRIPT = f"""
import sys
from maskkit.cli import app
try:
    app(prog_name="maskkit")
finally:
    print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


def press_tab(line, folder=".", shell="bash"):
    """Return the completions of the last word of a line, which may be empty."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_ARGS": line}
    asked |= {"_MASKKIT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder, env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "", "imported something heavy, or failed"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data with two splits, a folder that is none, and one that is a model."""
    folder = tmp_path_factory.mktemp("here")
    for inner in ("faces/Train/with_mask", "faces/Validation/with_mask", "faces/notes", "my-model", "my-photos"):
        (folder / inner).mkdir(parents=True)
    (folder / "my-model" / "maskkit.json").write_text("{}")
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    (folder / "faces.csv").write_text("path,label,split\n0.png,x,b\n1.png,y,a\n2.png,y,\n")
    return folder


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("maskkit pre", ["predict", "predict-batch"]),
        ("maskkit data a", ["audit"]),
        ("maskkit predict a.jpg --detector cen", ["centerface"]),
        ("maskkit predict a.jpg --detector mas", ["maskkit"]),
        ("maskkit predict a.jpg --detector-s", ["--detector-size"]),
        ("maskkit predict a.jpg --model mask", ["maskkit-lite0"]),
        ("maskkit predict a.jpg --model my", ["my-model"]),
        ("maskkit predict a.jpg --format js", ["json", "jsonl"]),
        ("maskkit predict a.jpg --save-c", ["--save-crops"]),
        ("maskkit train faces --backbone res", ["resnet50"]),
        ("maskkit evaluate faces --split ", ["Train", "Validation"]),
        ("maskkit evaluate faces --report tensor", ["tensorboard"]),
        ("maskkit evaluate faces --on-error ", ["raise", "skip"]),
        ("maskkit evaluate data.yaml --split ", ["train", "val"]),
        ("maskkit train faces.csv --split ", ["a", "b"]),
    ],
)
def test_bash_is_offered(line, offered, folder):
    assert press_tab(line, folder).split() == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell):
    assert "centerface" in press_tab("maskkit predict a.jpg --detector cen", shell=shell)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell, tmp_path):
    script = "import sys; sys.argv[0] = 'maskkit'; from maskkit.cli import app; app(prog_name='maskkit')"
    # Which shell it is, is otherwise found by looking at the parent process.
    asked = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        done = subprocess.run(
            [sys.executable, "-c", script, option, shell],
            env=os.environ | asked, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "maskkit" in done.stdout
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_MASKKIT_COMPLETE" in path.read_text() for path in written)
