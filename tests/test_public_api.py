"""What is public is exact, and importing it is cheap."""

import importlib
import subprocess
import sys

import pytest

import maskkit

PLUGINS = ["maskkit.backbones", "maskkit.detectors", "maskkit.reporters", "maskkit.sinks"]
MODULES = ["maskkit", *PLUGINS, "maskkit.datasets", "maskkit.evaluation", "maskkit.exceptions", "maskkit.review",
           "maskkit.testing", "maskkit.web"]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_all_names_exist(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize(
    "name", ["maskkit", "maskkit.backbones", "maskkit.detectors", "maskkit.reporters", "maskkit.sinks"]
)
def test_lazy_modules_list_exactly_their_public_names(name):
    module = importlib.import_module(name)
    assert sorted(dir(module)) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = module.nonsense


def imported_by(statement):
    heavy = [
        "torch",
        "torchvision",
        "sklearn",
        "scipy",
        "numpy",
        "PIL",
        "openvino",
        "cv2",
        "dlib",
        "timm",
        "matplotlib",
        "rich",
        "ray",
        "pyarrow",
        "fsspec",
        "av",
        "trackers",
    ]
    script = f"import sys\n{statement}\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_maskkit_imports_nothing_heavy():
    assert imported_by("import maskkit; dir(maskkit); maskkit.__version__") == set()


def test_command_line_help_imports_nothing_heavy():
    assert imported_by("import maskkit.cli") <= {"rich"}


def test_importing_everything_changes_no_global_state():
    script = """
import os, warnings, logging
import captum.attr, openvino, sklearn, timm, torch  # what these do themselves is theirs
before = (dict(os.environ), list(warnings.filters), list(logging.getLogger().handlers))
import maskkit
for name in maskkit.__all__:
    getattr(maskkit, name)
assert dict(os.environ) == before[0], set(os.environ.items()) ^ set(before[0].items())
assert not [f for f in warnings.filters if f not in before[1] and f[0] == "ignore" and f[2] is Warning], "all ignored"
assert list(logging.getLogger().handlers) == before[2]
print("same")
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "same"


def test_version_is_the_packages():
    assert maskkit.__version__.count(".") == 2
