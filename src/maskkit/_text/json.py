"""JSON that any file can hold and any terminal can show."""

import json
import sys
from typing import Any, TextIO

from maskkit._text.names import UNSAFE


def to_json(value: Any, *, indent: int | None = None, stream: TextIO | None = None, allow_nan: bool = True) -> str:
    r"""Return a value as JSON that any file can hold and any terminal can show.

    Letters stay readable, except where `stream`, to which the text will be printed, is not UTF-8: then they are
    written as ``\uXXXX``.
    """
    encoding = "utf-8" if stream is None else getattr(stream, "encoding", None) or "utf-8"
    is_ascii = encoding.lower().replace("_", "-") not in ("utf-8", "utf8")
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii, allow_nan=allow_nan)
    # Line breaks of the indentation stay. Those within text are escaped by json itself.
    return UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON to standard output, at once."""
    print(to_json(value, indent=indent, stream=sys.stdout), flush=True)
