"""OpenVINO without its telemetry, safe for threads and forks, and a cache of compiled models.

``import openvino`` sends an event to Google Analytics and writes a client id to ``~/intel`` without
asking (``openvino/tools/ovc/__init__.py``, seen in 2026.4), and so does NNCF. Where the package
``openvino_telemetry`` is not installed, both use a stub that does neither, so it is hidden from them here.
"""

import ctypes
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import platformdirs
from cachetools import LRUCache

from maskkit._files.atomic import write_file
from maskkit._images.hashing import hash_content
from maskkit._images.prefetch import call_in_forked_child, thread_limit, use_one_thread_after_fork
from maskkit._optional import require

__all__ = ["compile_model", "import_untracked", "openvino"]

_DIGEST_BYTES = 32

# The cache folder holds about ten networks of the size of ResNet-50.
_MAX_CACHE_BYTES = 2**30


def import_untracked(name: str, extra: str | None = None) -> Any:
    """Import one of Intel's modules with telemetry hidden; `extra` installs it if it is optional."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module(name) if extra is None else require(name, extra)
    finally:
        if sys.modules["openvino_telemetry"] is None:
            del sys.modules["openvino_telemetry"]


openvino = import_untracked("openvino")

# OpenVINO's binding initializes itself when it is given the first array, and two threads that do so
# together deadlock. An import runs in one thread while others wait for it, so it is done here.
openvino.Tensor(np.zeros(1, dtype=np.uint8))

_CORE = openvino.Core()

# The latest compiled models by cache file. The fits of a cross-validation run the same models one after the other:
# those of one classifier and one more.
_RECENT: LRUCache[Path, Any] = LRUCache(4)
_RECENT_LOCK = threading.Lock()

# Every compiled model that is still referenced anywhere.
_COMPILED: WeakSet[Any] = WeakSet()


def _abandon_models() -> None:
    """Forget the parent's models in a forked process, without destroying them.

    Destroying a model waits for its threads, which did not survive the fork, so it would never end. An
    extra reference keeps each model alive even at interpreter exit. Its memory is shared with the parent.
    """
    global _RECENT_LOCK
    _RECENT_LOCK = threading.Lock()
    for compiled in _COMPILED:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(compiled))
    _RECENT.clear()


call_in_forked_child(_abandon_models)


def compile_model(
    build: Callable[[], Any],
    *,
    key: str,
    settings: Mapping[str, str],
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Compile a model for the CPU, or load it from the cache of compiled models.

    `build` returns the ``openvino.Model``, and is not called if the cache holds the compiled model. The key must change
    with anything that `build` depends on, weights included. `settings` are properties of OpenVINO's device. `check` is
    called with a newly compiled model, and raises if it must not be used.
    """
    use_one_thread_after_fork()
    if (n_threads := thread_limit()) is not None:
        settings = {**settings, "INFERENCE_NUM_THREADS": str(n_threads)}
    processor = _CORE.get_property("CPU", "FULL_DEVICE_NAME")
    parts = (openvino.__version__, processor, str(os.cpu_count()), key, *sorted(map(str, settings.items())))
    folder = os.environ.get("MASKKIT_CACHE") or platformdirs.user_cache_path("maskkit", appauthor=False)
    file = Path(folder) / f"openvino-{hash_content(repr(parts).encode())[:32]}.blob"
    with _RECENT_LOCK:
        compiled = _RECENT.get(file)
    if compiled is None:
        compiled = _load_or_compile(build, file, settings, check)
    with _RECENT_LOCK:
        _COMPILED.add(compiled)
        _RECENT[file] = compiled
    return compiled


def _load_or_compile(
    build: Callable[[], Any], file: Path, settings: Mapping[str, str], check: Callable[[Any], None] | None
) -> Any:
    blob = _read_checked(file)
    if blob is not None:
        # A RuntimeError means that another build of the same OpenVINO version wrote the file, which is then replaced.
        with suppress(RuntimeError):
            return _CORE.import_model(blob, "CPU", dict(settings))
    compiled = _CORE.compile_model(build(), "CPU", dict(settings))
    if check is not None:
        check(compiled)
    content = compiled.export_model().getvalue()
    with suppress(OSError):  # If the folder is read-only, the model is compiled again next time.
        write_file(file, hashlib.sha256(content).digest() + content)
        _delete_oldest(file.parent)
    return compiled


def _read_checked(file: Path) -> bytes | None:
    """Read a cache file without its checksum; return None if it is missing or damaged."""
    try:
        data = file.read_bytes()
        os.utime(file)  # The time of last use decides what is deleted first.
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _delete_oldest(folder: Path) -> None:
    """Delete the least recently used files until the rest fits `_MAX_CACHE_BYTES`."""
    used = 0
    for file in sorted(folder.glob("*.blob"), key=lambda file: file.stat().st_mtime, reverse=True):
        used += file.stat().st_size
        if used > _MAX_CACHE_BYTES:
            file.unlink(missing_ok=True)
