"""Models that ship with the package, by name. The module imports nothing heavy: shell completion uses it."""

import os
from pathlib import Path
from typing import Any

from maskkit.exceptions import ModelFileError

_FOLDER = Path(__file__).parents[1] / "pretrained"


def list_pretrained() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(file.parent.name for file in _FOLDER.glob("*/maskkit.json"))


def find_pretrained(name: str) -> Path:
    """Return the folder of a model that ships with the package; raise ModelFileError if there is none."""
    if name not in list_pretrained():
        raise ModelFileError(
            f"{name!r} is neither a folder nor a model that ships with maskkit; "
            f"the models are: {', '.join(list_pretrained())}."
        )
    return _FOLDER / name


def name_model(folder: str | os.PathLike[str]) -> str:
    """Return the `weights` that name a saved model: its name if it ships with the package, else its absolute path."""
    path = Path(folder).resolve()
    return path.name if path.parent == _FOLDER.resolve() else os.fspath(path)


def find_model(weights: Any) -> Path | None:
    """Return the folder of the model that `weights` names: one that ships with the package, or one that was saved.

    Returns None if it names none. A folder with the name of a model that ships is passed as ``./NAME``.
    """
    if not isinstance(weights, (str, os.PathLike)):
        return None
    if weights in list_pretrained():
        return find_pretrained(os.fspath(weights))
    return Path(weights) if os.path.isfile(os.path.join(weights, "maskkit.json")) else None
