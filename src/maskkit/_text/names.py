"""Escaping, shortening and checking of the names of files and labels.

A file name on Linux is bytes. Python represents those that are not UTF-8 as lone surrogates, which no file and few
terminals take, and a name may hold line breaks or commands for the terminal.
"""

import os
import re
from pathlib import Path, PurePath

# Control characters, marks that reverse the direction of writing, line separators, lone surrogates and noncharacters.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

# A name has at most 255 bytes on common file systems. The rest is for numbers and endings.
MAX_STEM_BYTES = 160
MAX_LABEL_BYTES = 60


def escape_text(text: object, *, keep: str = "") -> str:
    r"""Replace characters that cannot be shown or stored by escapes such as ``\x1b`` and ``\udcff``.

    Characters in `keep` stay as they are.
    """

    def escape(found: re.Match[str]) -> str:
        return found[0] if found[0] in keep else found[0].encode("unicode_escape").decode()

    return UNSAFE.sub(escape, str(text))


def shorten_name(name: object, max_bytes: int) -> str:
    """Return text as a part of a file name: without characters that a file system may refuse, and not too long."""
    text = re.sub(r"[/\\\0]", "_", UNSAFE.sub("_", str(name)))
    return text.encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")


def check_path(path: str | os.PathLike[str], error: type[Exception]) -> Path:
    """Return a path; raise `error` if it is empty.

    ``Path("")`` equals ``Path(".")``, so that an empty path would mean the current folder, where it is meant least.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{path!r} is of type {type(path).__name__}; want a path.")
    text = os.fspath(path)
    if not text:
        raise error("an empty path; pass a file or a folder ('.' for the current one).")
    if isinstance(path, PurePath) and not path.parts:
        raise error("an empty path, Path('') or Path('.'); pass the text '.' or Path.cwd() for the current folder.")
    if isinstance(text, str) and "\0" in text:
        raise error(f"{escape_text(text)}: holds a null character, which no file name has.")
    return Path(text)
