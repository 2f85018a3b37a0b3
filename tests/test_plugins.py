"""Plugins are found by name, ours and anybody's, and a broken one harms no other."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from maskkit import _plugins
from maskkit.exceptions import PluginError
from maskkit.reporters import JsonReporter

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


class FakeDistribution:
    def __init__(self, name):
        self.name = name


def make_entry(name, value, package):
    entry = EntryPoint(name, value, "maskkit.reporters")
    object.__setattr__(entry, "dist", FakeDistribution(package))
    vars(entry)["dist"] = FakeDistribution(package)
    return entry


@pytest.fixture
def install(monkeypatch):
    """Pretend that packages with these entry points are installed beside maskkit."""
    real = _plugins.entry_points

    def pretend(*entries):
        monkeypatch.setattr(_plugins, "entry_points", lambda group: [*real(group=group), *entries])

    return pretend


def test_names_are_those_declared():
    assert _plugins.names("detectors") == ["centerface", "dlib_cnn", "dlib_hog", "maskkit", "whole", "yunet"]
    assert _plugins.names("reporters") == ["console", "json", "mlflow", "plots", "tensorboard"]
    assert _plugins.names("backbones") == ["efficientnet_lite0", "resnet50", "timm"]


def test_listing_names_imports_no_plugin():
    script = (
        "import sys\nfrom maskkit import _plugins\n_plugins.names('detectors')\n"
        "print([name for name in ('cv2', 'dlib', 'openvino', 'torch', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_argument_after_the_colon_is_the_first_parameter():
    assert _plugins.load("reporters", "json:a:b.json").path == "a:b.json"


def test_instances_pass_through():
    reporter = JsonReporter()
    assert _plugins.resolve("reporters", reporter) is reporter


def test_third_party_wins_over_ours(install):
    install(make_entry("json", "collections:OrderedDict", "theirs"))
    assert type(_plugins.load("reporters", "json")).__name__ == "OrderedDict"


def test_two_third_parties_of_one_name_are_both_named(install):
    install(
        make_entry("slack", "collections:OrderedDict", "first-package"),
        make_entry("slack", "collections:Counter", "second-package"),
    )
    with pytest.raises(PluginError, match="reporter 'slack' is declared twice, by first-package and second-package"):
        _plugins.load("reporters", "slack")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module_at_all:Thing", "'broken' of theirs fails to load: No module named 'no_such_module_at_all'"),
        ("collections:NoSuchClass", "'broken' of theirs fails to load: AttributeError"),
    ],
)
def test_broken_plugin_is_named_and_harms_no_other(install, value, message):
    install(make_entry("broken", value, "theirs"))
    with pytest.raises(PluginError, match=message):
        _plugins.load("reporters", "broken")
    assert isinstance(_plugins.load("reporters", "json"), JsonReporter)


@pytest.mark.parametrize(
    ("group", "name", "library", "extra"),
    [
        ("detectors", "yunet", "cv2", "opencv"),
        ("reporters", "tensorboard", "tensorboard", "tensorboard"),
        ("reporters", "mlflow", "mlflow", "mlflow"),
    ],
)
def test_missing_library_gives_the_line_to_type(monkeypatch, group, name, library, extra):
    for module in [module for module in sys.modules if module.startswith(f"maskkit.{group}.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PluginError, match=rf"needs {library}.*; install it: pip install 'maskkit\[{extra}\]'"):
        _plugins.load(group, name)


def test_plugin_package_is_installed_and_used_by_name(tmp_path):
    """The package under examples/plugin, installed by pip, gives a detector and a reporter."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", site, EXAMPLE], check=True, capture_output=True)
    script = f"""
import numpy as np
from maskkit import evaluate
from maskkit.testing import check_detector, check_reporter, make_faces
from tests.conftest import make_classifier
from maskkit_example_plugin import MarkdownReporter

faces, labels = make_faces(12)
model = make_classifier(detector="thirds").fit(faces, labels)
assert [face.box for face in model.predict_faces(np.zeros((90, 300, 3), np.uint8))] == [(100, 30, 200, 60)]
check_detector(model.detector_)
report = {str(tmp_path / "report.md")!r}
evaluate(model, faces, labels, reporters=f"markdown:{{report}}")
print(open(report).read())
check_reporter(MarkdownReporter(report))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[1])])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| accuracy |" in done.stdout


def test_a_plugin_that_needs_an_argument_says_so():
    with pytest.raises(PluginError, match=r"backbone 'timm' needs an argument .*want 'timm:NAME'"):
        _plugins.load("backbones", "timm")
