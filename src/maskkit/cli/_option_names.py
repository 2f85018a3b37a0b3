"""Messages in the words of the command line: the library's name parameters of Python."""

import re
from collections.abc import Sequence
from typing import Any

# A parameter and its value, as in messages: backbone='x', weights=None, batch_size=0, checkpoint=DIR. What follows it
# in parentheses, about the command line, says the same.
_PARAMETER = re.compile(r"\b([a-z][a-z_]*)=('[^']*'|[\w.-]*[\w-]|PATH|DIR)(?: \((--[^)]*) on the command line\))?")

# Ways out that only Python has: "..., or an instance with detect().", "... or None."
_PYTHON_ONLY = re.compile(
    r"(?:, a dict of \w+)?,? or (?:pass |in Python )?(?:an instance|None)(?: with [^.;]*| for [^.;]*)?(?=[.;]|$)"
)


def use_option_names(message: str, command: Any, arguments: Sequence[str]) -> str:
    """Replace the parameters that a message names by the options of the click command, or group, that runs.

    Of "use backbone='efficientnet_lite0', or an instance", "use --backbone efficientnet_lite0" is left: a command line
    has neither instances nor None. The subcommand is known from the arguments. Parameters without an option are left.
    """
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    options = {param.name: param for param in command.params if param.opts and param.opts[0].startswith("-")}
    return _PARAMETER.sub(lambda match: _to_option(match, options), _PYTHON_ONLY.sub("", message))


def _to_option(match: re.Match[str], options: dict[str, Any]) -> str:
    name, value, given = match.groups()
    if given:
        return given
    option = options.get(name)
    if option is None:
        return match[0]
    if getattr(option, "is_flag", False):
        spellings = {"True": option.opts, "False": option.secondary_opts}.get(value)
        return max(spellings, key=len) if spellings else match[0]
    return f"{max(option.opts, key=len)} {'none' if value == 'None' else value.strip(chr(39))}"
