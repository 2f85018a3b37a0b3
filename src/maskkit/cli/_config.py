"""Options of a command in a TOML file: read with --config, and written beside what the command made."""

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from maskkit._text import escape_text
from maskkit.cli._options import option

# Options that belong to one run, and are not read from files.
_NOT_READ = ("config", "help", "overwrite")
# Nor is the address of a reporter written, which may hold a password.
_NOT_WRITTEN = (*_NOT_READ, "report")


def _read(ctx: typer.Context, param: typer.CallbackParam, file: Path | None) -> Path | None:
    """Make the values of a file the defaults of the command, so that options on the command line win over them."""
    if file is None:
        return None
    try:
        values = tomllib.loads(file.read_bytes().decode())
    except OSError as exc:
        raise _error(param, f"{file}: cannot be read ({exc.strerror}); check the path") from exc
    except ValueError as exc:
        raise _error(param, f"{file}: is not TOML ({exc}); want lines such as epochs = 8") from exc
    known = [param for param in ctx.command.params if param.name not in _NOT_READ]
    params = {_name(param): (param, False) for param in known}
    # The other name of a flag, such as frozen for fine-tune, means the opposite.
    params |= {flag.lstrip("-"): (param, True) for param in known for flag in param.secondary_opts}
    ctx.default_map = {}
    for key, value in values.items():
        name = key.replace("_", "-")
        if name not in params:
            near = difflib.get_close_matches(name, params, n=1)
            hint = f"did you mean {near[0]}?" if near else f"want some of {', '.join(params)}"
            raise _error(param, f"{file}: {key} is no option of {ctx.info_name}; {hint}")
        option_of_key, is_opposite = params[name]
        is_flag = bool(getattr(option_of_key, "is_flag", False))
        if isinstance(value, bool) != is_flag or isinstance(value, dict):
            wanted = "true or false" if is_flag else "a number or a text"
            raise _error(param, f"{file}: {key} = {value!r}; want {wanted}")
        ctx.default_map[str(option_of_key.name)] = not value if is_opposite else value
    return file


def _error(param: typer.CallbackParam, message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint=param.opts[0])


def _name(param: Any) -> str:
    return str(max(param.opts, key=len)).lstrip("-").lower()


ConfigOption = Annotated[
    Path | None,
    option(
        "FILE",
        "Read options from this TOML file, such as the train.toml in a model. Options given here win over it.",
        None,
        callback=_read,
        is_eager=True,
    ),
]


def write_options(ctx: typer.Context) -> str:
    """Return the options of the command that runs as TOML, with those that have their defaults."""
    lines = [f"# The options of maskkit {ctx.info_name}. To repeat it: maskkit {ctx.info_name} --config FILE --out NEW"]
    for param in ctx.command.params:
        value = ctx.params.get(str(param.name))
        if value in (None, (), []) or param.name in _NOT_WRITTEN:
            continue
        # The strings, numbers and arrays of JSON are those of TOML, except for one control character.
        text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=str)
        line = f"{_name(param)} = " + text.replace("\x7f", "\\u007f")
        is_text = line == line.encode(errors="replace").decode()
        lines.append(line if is_text else f"# {escape_text(line)} (bytes that are not UTF-8 have no form in TOML)")
    return "\n".join(lines) + "\n"
