"""Reporters take an evaluation somewhere; importing this package imports no tracker."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskkit._display.tables import Estimate, Table
from maskkit.reporters._base import Report, Reporter

if TYPE_CHECKING:
    from maskkit.reporters.console import ConsoleReporter
    from maskkit.reporters.json import JsonReporter
    from maskkit.reporters.mlflow import MlflowReporter
    from maskkit.reporters.plots import PlotsReporter
    from maskkit.reporters.tensorboard import TensorBoardReporter

__all__ = [
    "Estimate",
    "Table",
    "Report",
    "Reporter",
    "ConsoleReporter",
    "JsonReporter",
    "PlotsReporter",
    "TensorBoardReporter",
    "MlflowReporter",
]

_MODULES = {
    "ConsoleReporter": "console",
    "JsonReporter": "json",
    "PlotsReporter": "plots",
    "TensorBoardReporter": "tensorboard",
    "MlflowReporter": "mlflow",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
