"""The models that ship with the package, by name; imports nothing, so that a shell can ask for them."""

from pathlib import Path

from maskkit.exceptions import ModelFileError

_FOLDER = Path(__file__).parents[1] / "pretrained"


def list_pretrained() -> list[str]:
    """List the models that ship with the package."""
    return sorted(file.parent.name for file in _FOLDER.glob("*/maskkit.json"))


def find_pretrained(name: str) -> Path:
    """Find the folder of a model that ships with the package.

    Raises
    ------
    ModelFileError
        If there is none of that name; the message lists them.
    """
    if name not in list_pretrained():
        raise ModelFileError(
            f"{name!r} is no folder and no model that ships with maskkit; there are: {', '.join(list_pretrained())}."
        )
    return _FOLDER / name
