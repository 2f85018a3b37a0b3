"""Where detectors find their weights, and how they load them once."""

import os
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TypeVar

from maskkit._images.prefetch import call_in_forked_child
from maskkit.exceptions import WeightsError

Network = TypeVar("Network")


def load_once(load: Callable[[str], Network]) -> Callable[[str], Network]:
    """Share a network between all detectors of a process that use the same weights.

    A detector then holds nothing but its parameters: copies and clones cost nothing and pickles
    are small.

    Parameters
    ----------
    load : callable
        Turns the path of the weights into a network. One thread calls it, others wait.

    Returns
    -------
    loaded : callable
        `load`, remembering its two latest networks.
    """
    cached = lru_cache(maxsize=2)(load)
    lock = Lock()

    def forget() -> None:  # networks that may not end in a child see to that themselves
        nonlocal lock
        lock = Lock()
        cached.cache_clear()

    def loaded(path: str) -> Network:
        with lock:
            return cached(path)

    call_in_forked_child(forget)
    return loaded


def check_weights_file(weights: str | os.PathLike[str]) -> str:
    """Check the path of weights that a user passed.

    Raises
    ------
    WeightsError
        If there is no such file.
    """
    if not os.path.isfile(weights):
        raise WeightsError(f"weights={os.fspath(weights)!r}: no such file; check the path.")
    return os.fspath(weights)


@lru_cache  # asked at every detection; a failure is not kept
def find_packaged_file(package: str, file: str, *, hint: str) -> str:
    """Find a file inside an installed package without importing the package.

    Parameters
    ----------
    package : str
        Name under which the package would be imported.
    file : str
        Path inside the package, with forward slashes.
    hint : str
        End of the error's message: how to install the package.

    Raises
    ------
    WeightsError
        If the package is not installed or does not hold the file.
    """
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder, file)
        if path.is_file():
            return str(path)
    raise WeightsError(f"{file} of the package {package} is not installed; {hint}, or pass the file: weights=PATH.")
