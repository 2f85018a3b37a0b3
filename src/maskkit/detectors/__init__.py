"""Face detectors: the contract and the five that come with maskkit.

Importing this package imports no backend library; naming one of the classes imports its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskkit.detectors._base import Detector, Faces

if TYPE_CHECKING:
    from maskkit.detectors.centerface import CenterFaceDetector
    from maskkit.detectors.dlib_cnn import DlibCnnDetector
    from maskkit.detectors.dlib_hog import DlibHogDetector
    from maskkit.detectors.whole import WholeImageDetector
    from maskkit.detectors.yunet import YuNetDetector

__all__ = [
    "Faces",
    "Detector",
    "CenterFaceDetector",
    "YuNetDetector",
    "DlibHogDetector",
    "DlibCnnDetector",
    "WholeImageDetector",
]

_MODULES = {
    "CenterFaceDetector": "centerface",
    "YuNetDetector": "yunet",
    "DlibHogDetector": "dlib_hog",
    "DlibCnnDetector": "dlib_cnn",
    "WholeImageDetector": "whole",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
