"""The help of every verb fits a terminal, its examples are real, and it costs nothing to ask for."""

import shlex

import pytest
import typer

from maskkit.cli import app, main

ROOT = typer.main.get_command(app)


def list_verbs(command=ROOT, words=()):
    """List the words of every verb, of those inside others too."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_verbs(inner, (*words, name))


VERBS = list(list_verbs())


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
    return [line.strip() for line in text.splitlines() if line.startswith("  maskkit ")]


def test_verbs_inside_others_are_found():
    assert ("data", "audit") in VERBS
    assert len(VERBS) >= 14


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_fits_80_columns_and_says_everything(words, capsys, monkeypatch):
    text = show_help(words, capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "..." not in text.replace("DATA...", "").replace("SOURCE...", "").replace("[ARGS]...", "")
    assert "\x1b" not in text
    said = " ".join(text.split())
    for param in find(words).params:
        for option in param.opts if param.param_type_name == "option" else [param.metavar]:
            assert option in text
        if param.param_type_name == "option":
            assert param.help.split()[0] in said
            assert param.metavar or param.is_flag, f"{param.name} names no value"


@pytest.mark.parametrize("words", [words for words in VERBS if not hasattr(find(words), "commands")], ids=" ".join)
def test_examples_are_commands_that_parse(words, capsys, monkeypatch):
    examples = read_examples(show_help(words, capsys, monkeypatch))
    assert examples
    for example in examples:
        arguments = shlex.split(example.partition(" > ")[0])
        assert tuple(arguments[1 : 1 + len(words)]) == words
        find(words).make_context(words[-1], arguments[1 + len(words) :])


@pytest.mark.parametrize("words", [(), ("data",)], ids=["maskkit", "data"])
def test_every_verb_has_one_line_that_fits(words, capsys, monkeypatch):
    lines = show_help(words, capsys, monkeypatch).splitlines()
    for name, command in find(words).commands.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        summary = line.split(maxsplit=1)[1]
        assert summary.endswith(".")
        assert command.help.startswith(summary)


def test_options_are_in_groups_and_their_words_begin_at_one_place(capsys, monkeypatch):
    lines = show_help(("predict",), capsys, monkeypatch).splitlines()
    assert [line for line in lines if line in ("Data:", "Model:", "Output:", "Options:")] == [
        "Model:",
        "Output:",
        "Options:",
    ]
    starts = {lines[index].index(word) for index, word in enumerate_words(lines, ("Folder", "auto,", "Write", "How"))}
    assert len(starts) == 1


def enumerate_words(lines, words):
    for word in words:
        for index, line in enumerate(lines):
            if line.strip().startswith("-") and f" {word} " in line:
                yield index, word


def test_defaults_and_what_is_required_are_shown(capsys, monkeypatch):
    text = " ".join(show_help(("train",), capsys, monkeypatch).split())
    assert "Usage: maskkit train DATA... --out DIR [OPTIONS]" in text
    assert "[efficientnet_lite0]" not in text
    assert "timm:NAME or a plugin. [resnet50]" in text
    assert "written to. [required]" in text


def test_a_terminal_gets_colours_unless_it_wants_none(monkeypatch):
    command = find(("predict",))
    context = command.make_context("predict", ["a.jpg"])
    assert "\x1b[1mOutput\x1b[0m:" in command.get_help(context)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in command.get_help(context)


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_nothing_at_all_shows_the_verbs(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    captured = capsys.readouterr()
    assert "predict  " in captured.out + captured.err


def test_misspelt_verbs_and_options_are_answered_in_words(capsys):
    for arguments, said in ((["fly"], "No such command 'fly'"), (["predict", "a.jpg", "--jsom"], "--jsom")):
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        captured = capsys.readouterr()
        assert (ending.value.code, captured.out) == (2, "")
        assert said in captured.err
        assert "--help' for help" in captured.err
