"""Models that ship with the package, by name. The module imports nothing heavy: shell completion uses it."""

from pathlib import Path

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
