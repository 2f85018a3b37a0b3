"""Features kept, so that a network sees each distinct image once."""

import hashlib
import os
import sqlite3
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Features: TypeAlias = NDArray[np.float32]

# Some 15,000 images of ResNet-50, 25,000 of EfficientNet-Lite0.
MEMORY_BYTES = 128 * 2**20

# Seconds that a process waits for others that write.
_PATIENCE_S = 60

# Marks the file as ours: "mask" in ASCII.
_OURS = 0x6D61736B

_TABLE = "CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, digest BLOB, features BLOB) WITHOUT ROWID"


class FeatureCache(Protocol):
    """Features by key; both methods may be called from several threads."""

    def get(self, key: str) -> Features | None:
        """Give the features (n_features,) of an image, None if they are not there."""
        ...

    def put(self, entries: Mapping[str, Features]) -> None:
        """Keep features."""
        ...


def open_cache(cache: str | os.PathLike[str] | None) -> FeatureCache | None:
    """Turn the parameter `cache` into a cache, shared by all in the process that name the same.

    Parameters
    ----------
    cache : path, {"memory"} or None

    Raises
    ------
    ValueError
        If it is something else, or the path cannot be a cache.
    """
    if cache is None:
        return None
    if isinstance(cache, str) and cache == "memory":
        return _MEMORY
    if not isinstance(cache, (str, os.PathLike)):
        raise ValueError(f"cache={cache!r} is unknown; use 'memory', None or the path of a file.")
    # A connection does not survive a fork.
    return _open_file(os.path.abspath(cache), os.getpid())


class MemoryCache:
    """Keeps the features used last, up to so many bytes."""

    def __init__(self, n_bytes: int = MEMORY_BYTES):
        self.n_bytes = n_bytes
        self._entries: OrderedDict[str, Features] = OrderedDict()
        self._used = 0
        self._turns = threading.Lock()

    def get(self, key: str) -> Features | None:
        """Give features, None if they are not there."""
        with self._turns:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, entries: Mapping[str, Features]) -> None:
        """Keep features; forgets those used longest ago."""
        with self._turns:
            for key, features in entries.items():
                if key not in self._entries:
                    # A row of a batch would keep the whole batch alive.
                    self._entries[key] = features.copy()
                    self._used += features.nbytes
            while self._used > self.n_bytes:
                self._used -= self._entries.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._turns:
            self._entries.clear()
            self._used = 0


class FileCache:
    """Keeps features in an SQLite file that several processes may share, and later runs.

    Each entry has a checksum: a damaged one is as good as none. A file that is damaged as a whole is
    set aside, as ``NAME.broken``, and begun anew.

    Parameters
    ----------
    path : path
        On a local disk: SQLite's locks do not hold on network drives.

    Raises
    ------
    ValueError
        If the path is a folder or a file of another kind, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._turns = threading.Lock()
        if self.path.is_dir():
            raise ValueError(f"cache={str(path)!r} is a folder; pass the path of a file, such as {path}/features.db.")
        self._open()

    def get(self, key: str) -> Features | None:
        """Give features, None if they are not there or were damaged."""
        try:
            with self._turns:
                row = self._file.execute("SELECT digest, features FROM features WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as exc:
            self._start_anew(exc)
            return None
        if row is None or not isinstance(row[1], bytes) or _digest(key, row[1]) != row[0]:
            return None
        return np.frombuffer(row[1], dtype=np.float32)

    def put(self, entries: Mapping[str, Features]) -> None:
        """Keep features, all or none of them."""
        rows = [(key, _digest(key, data := features.tobytes()), data) for key, features in entries.items()]
        try:
            with self._turns, self._file:
                self._file.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
        except sqlite3.OperationalError as exc:
            warnings.warn(f"{self.path}: features were not kept ({exc}).", stacklevel=2)
        except sqlite3.DatabaseError as exc:
            self._start_anew(exc)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists() or self.path.stat().st_size == 0
            if not is_new and _read_start(self.path) != b"SQLite format 3\x00":
                raise ValueError(f"cache={str(self.path)!r} is no cache of maskkit; choose another name.")
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE_S, check_same_thread=False)
            if is_new:
                self._file.execute(f"PRAGMA application_id = {_OURS}")
            elif self._file.execute("PRAGMA application_id").fetchone() != (_OURS,):
                self._file.close()
                raise ValueError(f"cache={str(self.path)!r} is no cache of maskkit; choose another name.")
            # Readers do not wait for a writer.
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            with self._file:
                self._file.execute(_TABLE)
        except (OSError, sqlite3.OperationalError) as exc:
            raise ValueError(f"cache={str(self.path)!r} cannot be written ({exc}); choose another place.") from exc
        except sqlite3.DatabaseError as exc:
            self._start_anew(exc)

    def _start_anew(self, cause: Exception) -> None:
        with self._turns:
            self._file.close()
            broken = self.path.with_name(f"{self.path.name}.broken")
            os.replace(self.path, broken)
            for ending in ("-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{ending}").unlink(missing_ok=True)
        warnings.warn(
            f"{self.path}: is damaged ({cause}); set aside as {broken.name}, features are computed anew.", stacklevel=2
        )
        self._open()


def _read_start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(16)


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key.encode()[:64]).digest()


@lru_cache(maxsize=8)
def _open_file(path: str, pid: int) -> FileCache:
    return FileCache(path)


_MEMORY = MemoryCache()
