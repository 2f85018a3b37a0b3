"""Files of weights, and networks shared by all detectors of a process."""

import os
from collections.abc import Callable, Hashable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TypeVar

from maskkit._images.prefetch import call_in_forked_child
from maskkit.exceptions import WeightsError

Network = TypeVar("Network")

# Two detectors, each for one thread and for all, for instance.
_N_NETWORKS = 4


def load_once(load: Callable[..., Network]) -> Callable[..., Network]:
    """Decorate a function that loads a network, so that detectors with the same weights share it.

    A detector then holds only its parameters, so that copies are cheap and pickles are small. The function is called
    with hashable arguments, by one thread at a time; its latest networks are cached.
    """
    lock = Lock()
    load_network = lru_cache(maxsize=_N_NETWORKS)(load)

    def loaded(*args: Hashable) -> Network:
        with lock:  # A second thread waits for the first, and then finds its network.
            return load_network(*args)

    def clear() -> None:  # `engines._compile` keeps models alive that a fork must not destroy.
        nonlocal lock
        lock = Lock()
        load_network.cache_clear()

    call_in_forked_child(clear)
    return loaded


def check_weights_file(weights: str | os.PathLike[str]) -> str:
    """Return the path of weights that a user passed; raise WeightsError if there is no such file."""
    if not os.path.isfile(weights):
        raise WeightsError(f"weights={os.fspath(weights)!r}: no such file; check the path.")
    return os.fspath(weights)


@lru_cache  # It is called for every detection. Exceptions are not cached.
def find_packaged_file(package: str, file: str, *, hint: str) -> str:
    """Find a file inside an installed package without importing the package.

    Raises WeightsError if the file is not installed; the message ends in `hint`, how to install the package.
    """
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder, file)
        if path.is_file():
            return str(path)
    raise WeightsError(f"{file} of the package {package} is not installed; {hint}, or pass the file: weights=PATH.")
