"""Plugins are found by name, ours and anybody's, and a broken one harms no other."""

import json
import os
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from maskkit import MaskClassifier, _plugins
from maskkit.detectors.whole import WholeImageDetector
from maskkit.exceptions import ModelFileError, PluginError
from maskkit.reporters import JsonReporter
from maskkit.testing import FixedDetector, check_detector, make_faces
from tests.cli.conftest import run
from tests.conftest import make_classifier

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


class FakeDistribution:
    def __init__(self, name):
        self.name = name
        self.version = "1.0"


def make_entry(name, value, package, group="reporters"):
    entry = EntryPoint(name, value, f"maskkit.{group}")
    object.__setattr__(entry, "dist", FakeDistribution(package))
    vars(entry)["dist"] = FakeDistribution(package)
    return entry


@pytest.fixture
def install(monkeypatch):
    """Pretend that packages with these entry points are installed beside maskkit."""
    real = _plugins.entry_points

    def pretend(*entries):
        monkeypatch.setattr(
            _plugins, "entry_points", lambda group: [*real(group=group), *(e for e in entries if e.group == group)]
        )

    return pretend


def test_names_are_those_declared():
    assert _plugins.names("detectors") == ["centerface", "dlib_cnn", "dlib_hog", "maskkit", "whole", "yunet"]
    assert _plugins.names("reporters") == ["console", "html", "json", "mlflow", "plots", "tensorboard"]
    assert _plugins.names("backbones") == ["efficientnet_lite0", "resnet50", "timm"]
    assert _plugins.names("sinks") == ["jsonl", "mqtt", "webhook"]


def test_listing_names_imports_no_plugin():
    script = (
        "import sys\nfrom maskkit import _plugins\n_plugins.names('detectors')\n"
        "print([name for name in ('cv2', 'dlib', 'openvino', 'torch', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_packages_are_searched_again_only_after_one_is_installed(monkeypatch, tmp_path):
    searches, search = [], _plugins.metadata.entry_points
    monkeypatch.setattr(_plugins.metadata, "entry_points", lambda: searches.append(1) or search())
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(3):
        assert "new" not in _plugins.names("reporters")
    assert len(searches) == 1
    folder = tmp_path / "new-1.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("[maskkit.reporters]\nnew = collections:Counter\n", encoding="utf-8")
    os.utime(tmp_path, (1, 1))  # Some file systems count time in steps of milliseconds.
    assert "new" in _plugins.names("reporters")
    assert "new" not in _plugins.names("detectors")
    assert len(searches) == 2


def test_argument_after_the_colon_is_the_first_parameter():
    assert _plugins.load("reporters", "json:a:b.json").path == "a:b.json"


@pytest.mark.parametrize(("group", "spec"), [("sinks", "jsonl:"), ("reporters", "html:"), ("detectors", "whole:")])
def test_an_empty_argument_is_not_the_default(group, spec):
    with pytest.raises(PluginError, match=f"{spec}' has no argument after the colon; want '{spec[:-1]}' or"):
        _plugins.load(group, spec)


def test_instances_pass_through():
    reporter = JsonReporter()
    assert _plugins.resolve("reporters", reporter) is reporter


def test_third_party_wins_over_ours(install):
    install(make_entry("json", "collections:OrderedDict", "theirs"))
    with pytest.warns(UserWarning, match="reporter 'json' is the one of theirs 1.0, which takes precedence"):
        assert type(_plugins.load("reporters", "json")).__name__ == "OrderedDict"


class Picky:
    """A sink whose argument may be secret."""

    def __init__(self, address):
        raise KeyError("no such place")


def test_the_address_of_a_sink_is_not_shown(install):
    install(
        make_entry("picky", f"{__name__}:Picky", "acme", "sinks"),
        make_entry("deaf", "fractions:Fraction", "acme", "sinks"),
        make_entry("closed", "builtins:object", "acme", "sinks"),
    )
    messages = {
        "picky:Geheim": r"sink 'picky': making it failed \(KeyError: 'no such place'\)",
        "deaf:123": r"sink is 'deaf', which makes Fraction\(123, 1\); want a name .* or an instance with send\(\)",
    }
    for spec, message in messages.items():
        with pytest.raises(PluginError, match=message) as error:
            _plugins.resolve("sinks", spec)
        assert "Geheim" not in str(error.value)


def test_two_third_parties_of_one_name_are_both_named(install):
    install(
        make_entry("slack", "collections:OrderedDict", "first-package"),
        make_entry("slack", "collections:Counter", "second-package"),
    )
    with pytest.raises(
        PluginError, match=r"reporter 'slack' is declared twice, by first-package 1\.0 and second-package 1\.0"
    ):
        _plugins.load("reporters", "slack")
    # The name harms no other plugin, and neither the list of names nor the naming of an instance.
    assert isinstance(_plugins.load("reporters", "json"), JsonReporter)
    assert "slack" in _plugins.names("reporters")
    assert _plugins.name_of("reporters", JsonReporter()) == "json"


def test_a_rival_of_a_built_in_name_harms_that_name_alone(install, capsys):
    install(
        make_entry("whole", "acme.one:Whole", "first-package", "detectors"),
        make_entry("whole", "acme.two:Whole", "second-package", "detectors"),
    )
    with pytest.raises(PluginError, match="detector 'whole' is declared twice"):
        _plugins.load("detectors", "whole")
    assert _plugins.load("detectors", "dlib_hog")
    assert MaskClassifier.from_pretrained().detector == "maskkit"
    found = json.loads(run(capsys, "checks", "--format", "json")[1])["detectors"]
    assert "first-package 1.0 and second-package 1.0" in found["whole"]
    assert found["maskkit"] == "ok"


def test_checks_shows_the_package_of_a_plugin(install, capsys):
    install(
        make_entry("json", "collections:OrderedDict", "theirs"),
        make_entry("other", "collections:Counter", "others"),
    )
    found = json.loads(run(capsys, "checks", "--format", "json")[1])["reporters"]
    assert found["json"] == "ok: theirs 1.0 (in place of maskkit's own)"
    assert found["other"] == "ok: others 1.0"
    assert found["console"] == "ok"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "no_such_module_at_all:Thing",
            "'broken' of theirs 1.0 fails to load: No module named 'no_such_",
        ),
        ("collections:NoSuchClass", "'broken' of theirs 1.0 fails to load: AttributeError"),
    ],
)
def test_broken_plugin_is_named_and_harms_no_other(install, value, message):
    install(make_entry("broken", value, "theirs"))
    with pytest.raises(PluginError, match=message):
        _plugins.load("reporters", "broken")
    assert isinstance(_plugins.load("reporters", "json"), JsonReporter)


def test_plugin_that_exits_while_it_is_loaded_is_named(install, monkeypatch, tmp_path):
    (tmp_path / "quitting_plugin.py").write_text("import sys; sys.exit('no license')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    install(make_entry("quitting", "quitting_plugin:Thing", "theirs"))
    with pytest.raises(PluginError, match=r"'quitting' of theirs 1\.0 fails to load: SystemExit: no license"):
        _plugins.load("reporters", "quitting")


@pytest.mark.parametrize(
    ("group", "name", "library", "extra"),
    [
        ("detectors", "yunet", "cv2", "opencv"),
        ("reporters", "tensorboard", "tensorboard", "tensorboard"),
        ("reporters", "mlflow", "mlflow", "mlflow"),
        ("sinks", "mqtt", "paho", "mqtt"),
    ],
)
def test_missing_library_gives_the_line_to_type(monkeypatch, group, name, library, extra):
    for module in [module for module in sys.modules if module.startswith(f"maskkit.{group}.{name}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PluginError, match=rf"needs {library}.*; install it: pip install 'maskkit\[{extra}\]'"):
        _plugins.load(group, name)


def test_plugin_package_is_installed_and_used_by_name(tmp_path):
    """The package under examples/plugin, installed by pip, gives a detector, a backbone and a reporter."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", site, EXAMPLE], check=True, capture_output=True)
    script = f"""
import numpy as np
from maskkit import evaluate
from maskkit import MaskClassifier
from maskkit.testing import check_backbone, check_detector, check_reporter, make_faces
from tests.conftest import make_classifier
from maskkit_example_plugin import MarkdownReporter, SmallBackbone

faces, labels = make_faces(12)
model = make_classifier(detector="thirds").fit(faces, labels)
assert [face.box for face in model.predict_faces(np.zeros((90, 300, 3), np.uint8))] == [(100, 30, 200, 60)]
check_detector(model.detector_)
report = {str(tmp_path / "report.md")!r}
evaluate(model, faces, labels, reporters=f"markdown:{{report}}")
print(open(report).read())
check_reporter(MarkdownReporter())
check_backbone(SmallBackbone())
model = make_classifier(backbone="small:16", detector="thirds").fit(faces, labels)
folder = model.save({str(tmp_path / "model")!r})
assert (MaskClassifier.load(folder).predict(faces) == model.predict(faces)).all()
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


class NumberDetector(FixedDetector):
    """A detector of one number, as a package would define it in an inner module."""

    def __init__(self, threshold=0.5):
        super().__init__([[0, 0, 9, 9]])
        self.threshold = threshold

    def detect(self, image):
        return super().detect(image) if self.threshold > 0.1 else None


@pytest.fixture
def package(monkeypatch, install):
    """A package whose entry point names the class by another module than the one that defines it."""
    outer = types.ModuleType("tests_of_acme")
    outer.Number = NumberDetector
    NumberDetector.__module__ = "tests_of_acme.inner"
    monkeypatch.setitem(sys.modules, "tests_of_acme", outer)
    install(make_entry("number", "tests_of_acme:Number", "acme", "detectors"))
    yield
    NumberDetector.__module__ = __name__


def test_a_class_is_known_by_identity_and_not_by_the_module_that_defines_it(package):
    assert _plugins.name_of("detectors", NumberDetector(0.3)) == "number"
    assert type(_plugins.load("detectors", "number")) is NumberDetector


def test_a_broken_plugin_of_the_same_package_does_not_hide_a_sound_one(package, install):
    install(
        make_entry("broken", "tests_of_acme:Nothing", "acme", "detectors"),
        make_entry("number", "tests_of_acme:Number", "acme", "detectors"),
    )
    assert _plugins.name_of("detectors", NumberDetector(0.3)) == "number"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("whole:3", "detector 'whole' takes no argument, and got '3'; want 'whole'"),
        ("number:0.02", "'number:0.02' does not work with the argument '0.02', which is always text .TypeError"),
        ("dlib_hog:1", "'dlib_hog:1' does not work with the argument '1', which is always text"),
    ],
)
def test_an_argument_that_a_detector_cannot_use_is_named_at_the_start(package, spec, message):
    with pytest.raises(PluginError, match=message):
        MaskClassifier.from_pretrained(detector=spec)
    with pytest.raises(PluginError, match=message):
        make_classifier(detector=spec).fit(*make_faces(4))


def test_a_name_that_leads_to_another_kind_of_plugin_is_told(install):
    install(make_entry("misplaced", "maskkit.reporters.json:JsonReporter", "acme", "detectors"))
    for use in (check_detector, lambda name: make_classifier(detector=name).fit(*make_faces(4))):
        with pytest.raises(PluginError, match=r"detector is 'misplaced', which makes JsonReporter.*with detect\(\)"):
            use("misplaced")
    check_detector("whole")


def test_a_class_whose_name_leads_to_another_package_is_told(install):
    install(make_entry("whole", "acme:Whole", "acme", "detectors"))
    with pytest.raises(PluginError, match=r"WholeImageDetector is installed as .whole., but .* leads to acme 1\.0"):
        _plugins.name_of("detectors", WholeImageDetector())


def test_fit_tells_that_a_plugin_without_a_name_cannot_be_saved(faces):
    class Nameless(FixedDetector):
        pass

    with pytest.warns(UserWarning, match="detector Nameless is not installed as a plugin, so save"):
        make_classifier(detector=Nameless([[0, 0, 9, 9]])).fit(*faces)


def test_a_model_names_the_packages_of_its_plugins_and_all_that_are_missing(package, savable, faces, tmp_path):
    model = make_classifier(backbone="timm:test_resnet", image_size=48, detector=NumberDetector(0.3), device="cpu")
    model.fit(*faces).save(tmp_path / "model")
    config_file = tmp_path / "model" / "maskkit.json"
    config = json.loads(config_file.read_text())
    assert config["detector"] == {"spec": "number", "params": config["detector"]["params"], "package": "acme 1.0"}
    assert config["backbone"]["package"].startswith("maskkit ")
    config["backbone"] |= {"spec": "gone:x", "package": "lost 2.0"}
    config["detector"]["spec"] = "vanished"
    config_file.write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=r"backbone 'gone' .*package lost 2.0.*; detector 'vanished' .*acme 1.0"):
        MaskClassifier.load(tmp_path / "model")
    with pytest.raises(ModelFileError, match="backbone 'gone'") as caught:
        MaskClassifier.load(tmp_path / "model", detector="whole")
    assert "vanished" not in str(caught.value)
