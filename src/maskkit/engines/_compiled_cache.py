"""What may be computed again but is quicker to keep: a folder of the user's."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

_DIGEST_BYTES = 32

# Some ten networks of the size of ResNet-50.
_MAX_BYTES = 2**30


def user_cache() -> Path:
    """Give the folder: ``MASKKIT_CACHE`` if that is set, else ``maskkit`` where the system keeps caches."""
    if os.environ.get("MASKKIT_CACHE"):
        return Path(os.environ["MASKKIT_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "maskkit"


def read_checked(file: Path) -> bytes | None:
    """Read what `write_checked` wrote; None if there is nothing or it was damaged."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(file)
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def write_checked(file: Path, content: bytes) -> None:
    """Write a file with its checksum: whole, or not at all where the folder cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=file.parent)
    except OSError:
        return  # a read-only home: computed again next time
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(content).digest() + content)
        os.replace(new, file)
        _forget_oldest(file.parent)
    except OSError:
        Path(new).unlink(missing_ok=True)


def _forget_oldest(folder: Path) -> None:
    """Delete what was used longest ago, until the rest is small enough."""
    used = 0
    for size, file in [(file.stat().st_size, file) for file in sorted(folder.glob("*.blob"), key=_last_used)]:
        used += size
        if used > _MAX_BYTES:
            file.unlink(missing_ok=True)


def _last_used(file: Path) -> float:
    return -file.stat().st_mtime
