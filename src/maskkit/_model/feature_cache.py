"""Feature caches, in memory and in a file, so that a network computes each distinct image once."""

import hashlib
import os
import sqlite3
import threading
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from maskkit._files.outputs import find_free
from maskkit._text import check_path, escape_text
from maskkit.exceptions import OutputError

Features: TypeAlias = NDArray[np.float32]

# The features of about 15,000 images of ResNet-50, or 25,000 of EfficientNet-Lite0.
MEMORY_BYTES = 128 * 2**20

# Time that a process waits for others that write, in seconds.
_LOCK_TIMEOUT_S = 60

# Identifies files of maskkit: "mask" in ASCII.
_APPLICATION_ID = 0x6D61736B

_TABLE = "CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, digest BLOB, features BLOB) WITHOUT ROWID"


def open_cache(cache: str | os.PathLike[str] | None) -> "MemoryCache | FileCache | None":
    """Return the cache of this process for the parameter `cache`; raise ValueError if it cannot be one."""
    if cache is None:
        return None
    if isinstance(cache, str) and cache == "memory":
        return _MEMORY
    if not isinstance(cache, (str, os.PathLike)):
        raise ValueError(f"cache={cache!r} is unknown; use 'memory', None or the path of a file.")
    check_path(cache, OutputError)
    # A database connection must not be used after a fork, so each process opens its own.
    return _open_file(os.path.abspath(cache), os.getpid())


class MemoryCache:
    """The most recently used features (n_features,) of images by key, up to `n_bytes` bytes; safe for threads."""

    def __init__(self, n_bytes: int = MEMORY_BYTES):
        self._entries: LRUCache[str, Features] = LRUCache(n_bytes, getsizeof=lambda features: features.nbytes)
        self._lock = threading.Lock()

    def get(self, key: str) -> Features | None:
        with self._lock:
            return self._entries.get(key)

    def put(self, entries: Mapping[str, Features]) -> None:
        """Store features; the least recently used ones are dropped."""
        with self._lock:
            for key, features in entries.items():
                if features.nbytes <= self._entries.maxsize:
                    # A copy, because a row of a batch would keep the whole batch in memory.
                    self._entries[key] = features.copy()


class FileCache:
    """Features in an SQLite file that several processes, and later runs, may share; safe for threads.

    The file must be on a local disk, because SQLite's locks do not work on network drives. Damaged entries count as
    missing. A damaged file is renamed to ``NAME.broken``, and a new one is started.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        # Threads share one connection. The lock is entered again when a damaged file is replaced.
        self._lock = threading.RLock()
        if self.path.is_dir():
            raise ValueError(f"cache={str(path)!r} is a folder; pass the path of a file, such as {path}/features.db.")
        self._connect()

    def get(self, key: str) -> Features | None:
        """Return the features of an image, or None if they are missing or damaged."""
        with self._lock:
            try:
                row = self._file.execute("SELECT digest, features FROM features WHERE key = ?", (key,)).fetchone()
            except sqlite3.OperationalError:
                # A lock that another process holds, or a disk that cannot be read, is not a damaged file.
                return None
            except sqlite3.DatabaseError as exc:
                self._replace_damaged(exc)
                return None
        if row is None or not isinstance(row[1], bytes) or _checksum(key, row[1]) != row[0]:
            return None
        return np.frombuffer(row[1], dtype=np.float32)

    def put(self, entries: Mapping[str, Features]) -> None:
        """Store features, all or none of them."""
        rows = [(key, _checksum(key, data := features.tobytes()), data) for key, features in entries.items()]
        with self._lock:
            try:
                with self._file:
                    self._file.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
            except sqlite3.OperationalError as exc:
                warnings.warn(f"{escape_text(self.path)}: features could not be stored ({exc}).", stacklevel=2)
            except sqlite3.DatabaseError as exc:
                self._replace_damaged(exc)

    def _connect(self) -> None:
        foreign = ValueError(f"cache={str(self.path)!r} is not a cache of maskkit; choose another name.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists() or self.path.stat().st_size == 0
            # SQLite would report any other file as damaged, and opening the database of another program would write
            # its journal into it.
            if not is_new and not _is_cache(self.path):
                raise foreign
            self._file = sqlite3.connect(self.path, timeout=_LOCK_TIMEOUT_S, check_same_thread=False)
            if is_new:
                self._file.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            # In WAL mode, readers do not wait for a writer.
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            with self._file:
                self._file.execute(_TABLE)
        except (OSError, sqlite3.OperationalError) as exc:
            raise ValueError(f"cache={str(self.path)!r} cannot be written ({exc}); choose another place.") from exc
        except sqlite3.DatabaseError as exc:
            self._replace_damaged(exc)

    def _replace_damaged(self, cause: Exception) -> None:
        self._file.close()
        # No file is replaced, also no earlier damaged one.
        broken = find_free(self.path.with_name(f"{self.path.name}.broken"))
        os.replace(self.path, broken)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
        warnings.warn(
            f"{escape_text(self.path)}: is damaged ({cause}); renamed to {broken.name}, features are recomputed.",
            stacklevel=2,
        )
        self._connect()


def _is_cache(path: Path) -> bool:
    """Return whether a file begins as an SQLite file of maskkit; its format has the number at byte 68."""
    with open(path, "rb") as file:
        head = file.read(72)
    return head.startswith(b"SQLite format 3\x00") and head[68:] == _APPLICATION_ID.to_bytes(4)


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key.encode()[:64]).digest()


@lru_cache(maxsize=8)
def _open_file(path: str, pid: int) -> FileCache:
    return FileCache(path)


_MEMORY = MemoryCache()
