"""The help of every command fits 80 columns and has examples that parse."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from maskkit.cli import app, main

ROOT = typer.main.get_command(app)


def list_commands(command=ROOT, words=()):
    """Iterate over the words of every command and subcommand."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_commands(inner, (*words, name))


COMMANDS = list(list_commands())


def find(words):
    command = ROOT
    for word in words:
        command = command.commands[word]
    return command


def show_help(words, capsys, monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as ending:
        main([*words, "--help"])
    assert not ending.value.code
    return capsys.readouterr().out


def read_examples(text):
    return re.findall(r"^ Example: (maskkit .*?) *$", text, re.MULTILINE)


def test_subcommands_are_found():
    assert ("data", "audit") in COMMANDS
    assert len(COMMANDS) >= 14


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_shows_every_option(words, capsys, monkeypatch):
    text = show_help(words, capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "..." not in re.sub(r"(\[ARGS\]|\{\w+\})\.\.\.", "", text)
    assert "\x1b" not in text
    words_of_help = text.split()
    for param in find(words).params:
        for option in param.opts if param.param_type_name == "option" else [param.metavar]:
            assert option in text  # in full, not cut off
        if param.param_type_name == "option":
            assert param.help.split()[0] in words_of_help
            assert param.metavar or param.is_flag, f"{param.name} names no value"


@pytest.mark.parametrize("words", [words for words in COMMANDS if not hasattr(find(words), "commands")], ids=" ".join)
def test_examples_are_commands_that_parse(words, capsys, monkeypatch):
    examples = read_examples(show_help(words, capsys, monkeypatch))
    assert examples
    for example in examples:
        arguments = shlex.split(example.partition(" > ")[0])
        assert tuple(arguments[1 : 1 + len(words)]) == words
        find(words).make_context(words[-1], arguments[1 + len(words) :])


@pytest.mark.parametrize("words", [(), ("data",)], ids=["maskkit", "data"])
def test_every_command_has_a_summary_of_one_line(words, capsys, monkeypatch):
    lines = show_help(words, capsys, monkeypatch).splitlines()
    for name, command in find(words).commands.items():
        (line,) = [line.strip("\u2502 ") for line in lines if line.strip("\u2502 ").split()[:1] == [name]]
        summary = line.split(maxsplit=1)[1]
        assert summary.endswith(".")
        assert command.help.startswith(summary)


@pytest.mark.parametrize(
    ("command", "extra"), [("predict-batch", "ray"), ("review", "review"), ("serve", "serve"), ("watch", "watch")]
)
def test_extras_are_named(command, extra, capsys, monkeypatch):
    """Rich removes words in square brackets unless they are escaped."""
    assert f"Requires pip install 'maskkit[{extra}]'." in show_help((command,), capsys, monkeypatch)


def test_options_are_in_groups(capsys, monkeypatch):
    lines = show_help(("predict",), capsys, monkeypatch).splitlines()
    groups = [line.split()[1] for line in lines if line.startswith("\u256d")]
    assert groups == ["Arguments", "Options", "Model", "Data", "Output"]


def test_defaults_and_what_is_required_are_shown(capsys, monkeypatch):
    text = " ".join(show_help(("train",), capsys, monkeypatch).replace("\u2502", " ").split())
    assert re.search(r"Usage: maskkit train \[OPTIONS\] \{?DATA\}?", text)  # braces depend on the version of typer
    assert "[default: efficientnet_lite0]" not in text
    assert "[default: resnet50]" in text
    assert "Folder to write the model to. [required]" in text


def test_a_terminal_gets_colors_unless_no_color_is_set():
    def show(**variables):
        script = "from maskkit.cli import main; main(['predict', '--help'])"
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        return done.stdout

    assert b"\x1b" in show(FORCE_COLOR="1", TERM="xterm")
    assert b"\x1b[3" not in show(FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_no_arguments_show_the_commands(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    captured = capsys.readouterr()
    assert "predict  " in captured.out + captured.err


def test_misspelled_commands_and_options_are_reported_in_plain_lines(capsys):
    for arguments, said in ((["fly"], "No such command 'fly'"), (["predict", "a.jpg", "--jsom"], "--jsom")):
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        captured = capsys.readouterr()
        assert (ending.value.code, captured.out) == (2, "")
        assert said in captured.err
        assert "--help' for help" in captured.err


@pytest.mark.parametrize("command", ["predict", "watch"])
def test_blur_says_what_stays_sharp(command, capsys, monkeypatch):
    text = " ".join(show_help([command], capsys, monkeypatch).replace("│", " ").split())
    assert "not detected stays sharp" in text
