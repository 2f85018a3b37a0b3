"""How ``--help`` looks: options in groups, two columns, examples apart; plain where it is piped."""

import os
import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_EXAMPLE = "Example: "


# Groups of options that come last, whatever comes first in the function.
_LAST_GROUPS = ("Output", "Options")
# The words of all groups begin at one place, unless an option is longer than this.
_WIDEST_NAME = 27


class VerbHelp(TyperCommand):
    """Shows a verb's help; typer's own panels leave the words a third of 80 columns."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name what has to be given, and that there is more."""
        arguments = [_name_argument(param) for param in _visible(self, ctx, "argument")]
        wanted = [f"{param.opts[0]} {param.metavar}" for param in _visible(self, ctx, "option") if param.required]
        return [*arguments, *wanted, "[OPTIONS]"]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the verb does, then its examples."""
        _write_text(self.help, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options by the group that each names."""
        _write_options(self, ctx, formatter)


class GroupHelp(TyperGroup):
    """Shows the verbs, each in one line, by the group that each names."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the verbs are for."""
        _write_text(self.help, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs, then the options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            verb = self.get_command(ctx, name)
            if verb is not None and not verb.hidden:
                groups.setdefault(_group_of(verb, "Commands"), []).append((_cyan(name), split_help(verb.help)[0][0]))
        _write_groups(groups, formatter)
        _write_options(self, ctx, formatter)


def split_help(text: str | None) -> tuple[list[str], list[str]]:
    """Part a docstring into its paragraphs and its examples, lines that begin with ``Example:``."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n") if paragraph.strip()]
    prose = [paragraph for paragraph in paragraphs if not paragraph.startswith(_EXAMPLE)]
    examples = [example for paragraph in paragraphs if paragraph.startswith(_EXAMPLE)
                for example in paragraph.removeprefix(_EXAMPLE).split(f" {_EXAMPLE}")]  # fmt: skip
    return prose or [""], examples


def _write_text(text: str | None, formatter: Any) -> None:
    prose, examples = split_help(text)
    for paragraph in prose:
        formatter.write_paragraph()
        formatter.write_text(paragraph)
    if examples:
        with formatter.section(_bold("Examples" if len(examples) > 1 else "Example")):
            # Not wrapped: a command is copied whole.
            formatter.write("".join(f"  {example}\n" for example in examples))


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    arguments = [(_cyan(_name_argument(param)), _describe(param)) for param in _visible(command, ctx, "argument")]
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in _visible(command, ctx, "option"):
        groups.setdefault(_group_of(param, "Options"), []).append((_name_option(param), _describe(param)))
    for group in _LAST_GROUPS:
        groups[group] = groups.pop(group, [])
    _write_groups({"Arguments": arguments} | groups, formatter)


def _write_groups(groups: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    names = [name for rows in groups.values() for name, _ in rows]
    width = max(length for length in map(_length, names) if length <= _WIDEST_NAME or len(names) == 1)
    for group, rows in groups.items():
        if rows:
            with formatter.section(_bold(group)):
                formatter.write_dl([(name + " " * (width - _length(name)), text) for name, text in rows], width)


def _visible(command: Any, ctx: Any, kind: str) -> Iterable[Any]:
    params = (param for param in command.get_params(ctx) if not getattr(param, "hidden", False))
    return [param for param in params if param.param_type_name == kind]


def _group_of(thing: Any, default: str) -> str:
    return getattr(thing, "rich_help_panel", None) or default


def _name_argument(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    return name if param.required else f"[{name}]"


def _name_option(param: Any) -> str:
    short = [name for name in param.opts if not name.startswith("--")]
    long = [name for name in param.opts if name.startswith("--")] + param.secondary_opts
    names = f"{_cyan(short[0])}, " if short else "    "
    value = "" if param.is_flag else f" {param.metavar or param.name.upper()}"
    return names + ", ".join(map(_cyan, long)) + value


def _describe(param: Any) -> str:
    """Give the help with the default, where there is one that says something."""
    text = param.help or ""
    default = param.default.value if isinstance(param.default, Enum) else param.default
    if param.required and param.param_type_name == "option":
        return f"{text} [required]"
    if getattr(param, "is_flag", False) or default in (None, (), []) or param.show_default is False:
        return text
    return f"{text} [{default}]"


def _length(text: str) -> int:
    return len(re.sub(r"\x1b\[[0-9;]*m", "", text))


def _bold(text: str) -> str:
    return text if "NO_COLOR" in os.environ else typer.style(text, bold=True)


def _cyan(text: str) -> str:
    return text if "NO_COLOR" in os.environ else typer.style(text, fg="cyan")
