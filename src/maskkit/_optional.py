"""Optional libraries, imported only by the features that need them."""

import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from maskkit.exceptions import MissingLibraryError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional library that the extra of maskkit installs.

    Raises MissingLibraryError if the library is not installed. A module that the library itself fails to import raises
    ModuleNotFoundError as usual.
    """
    try:
        # cleanlab ignores all warnings of the process when it is imported, those of maskkit too.
        with warnings.catch_warnings():
            return import_module(module)
    except ModuleNotFoundError as exc:
        library = module.partition(".")[0]
        if (exc.name or "").partition(".")[0] != library:
            raise
        raise MissingLibraryError(f"{library} is not installed; {install_hint(extra)}") from exc


def install_hint(extra: str) -> str:
    """Return the end of a message that says how to install an extra."""
    return f"install it: pip install 'maskkit[{extra}]'"


def installed_version(package: str) -> str | None:
    """Return the version of a package by its name on PyPI, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
