"""OpenVINO, imported without its telemetry and safe to call from several threads.

``import openvino`` sends an event to Google Analytics and writes a client id to ``~/intel``, unasked
(``openvino/tools/ovc/__init__.py``, seen in 2026.4), and so does NNCF. Where the package
``openvino_telemetry`` is not installed, both fall back to a stub and do neither; here they find none.
"""

import ctypes
import hashlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from maskkit._images.prefetch import call_in_forked_child, thread_limit, use_one_thread_after_fork
from maskkit._optional import require
from maskkit.engines._compiled_cache import read_checked, user_cache, write_checked

__all__ = ["compile_model", "import_untracked", "openvino"]


def import_untracked(name: str, extra: str | None = None) -> Any:
    """Import a module of Intel's that finds no telemetry installed; `extra` installs it if it is optional."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module(name) if extra is None else require(name, extra)
    finally:
        if sys.modules["openvino_telemetry"] is None:
            del sys.modules["openvino_telemetry"]


openvino = import_untracked("openvino")

# The first array that OpenVINO's binding takes makes it set itself up. Two threads that come first
# together would wait for each other for ever; an import is done by one thread, others wait for it.
openvino.Tensor(np.zeros(1, dtype=np.uint8))

_CORE = openvino.Core()

# The fits of a cross-validation run the same models one after the other: what a classifier holds
# and one more, by file. They outlive their classifiers by that much.
_RECENT: OrderedDict[Path, Any] = OrderedDict()
_N_RECENT = 4
_RECENT_LOCK = threading.Lock()

# All that are in use, whoever holds them.
_COMPILED: WeakSet[Any] = WeakSet()


def _leave_behind() -> None:
    """Let a forked process use no model of its parent's, and take none down.

    A model's end waits for its threads, which did not survive the fork: for ever. So none may end, not even
    with the interpreter; the memory is the parent's as long as nobody writes to it.
    """
    global _RECENT_LOCK
    _RECENT_LOCK = threading.Lock()
    for compiled in _COMPILED:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(compiled))
    _RECENT.clear()


call_in_forked_child(_leave_behind)


def compile_model(
    build: Callable[[], Any],
    *,
    key: str,
    settings: Mapping[str, str],
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Compile a model for the CPU, or take what an earlier process compiled.

    Parameters
    ----------
    build : callable
        Gives the ``openvino.Model``; not called if it is known.
    key : str
        Says which model it is: what `build` reads and does, weights and all.
    settings : dict of str to str
        OpenVINO's, for the device.
    check : callable, optional
        Takes what was compiled and raises if it must not be used; what was kept has passed.

    Returns
    -------
    compiled : openvino.CompiledModel
    """
    use_one_thread_after_fork()
    if (n_threads := thread_limit()) is not None:
        settings = {**settings, "INFERENCE_NUM_THREADS": str(n_threads)}
    processor = _CORE.get_property("CPU", "FULL_DEVICE_NAME")
    parts = (openvino.__version__, processor, str(os.cpu_count()), key, *sorted(map(str, settings.items())))
    file = user_cache() / f"openvino-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.blob"
    with _RECENT_LOCK:
        compiled = _RECENT.pop(file, None)
    if compiled is None:
        compiled = _compile(build, file, settings, check)
    with _RECENT_LOCK:
        _COMPILED.add(compiled)
        _RECENT[file] = compiled
        while len(_RECENT) > _N_RECENT:
            _RECENT.popitem(last=False)
    return compiled


def _compile(
    build: Callable[[], Any], file: Path, settings: Mapping[str, str], check: Callable[[Any], None] | None
) -> Any:
    blob = read_checked(file)
    if blob is not None:
        try:
            return _CORE.import_model(blob, "CPU", dict(settings))
        except RuntimeError:
            # Another build of OpenVINO under the same version; compiled anew, the file is replaced.
            pass
    compiled = _CORE.compile_model(build(), "CPU", dict(settings))
    if check is not None:
        check(compiled)
    write_checked(file, compiled.export_model().getvalue())
    return compiled


def hash_file(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
