"""What tests share. Nothing here needs the network or real data."""

import builtins
import errno
import io
import os
import shutil
import tempfile
from pathlib import Path

# pytest-xdist runs one process per core. Threads of OpenMP that wait by spinning would take the cores from the other
# processes, so each process gets one thread, before torch is imported and reads these variables.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from maskkit import MaskClassifier, engines
from maskkit.testing import FixedDetector, TinyBackbone, make_faces

# Tests leave nothing in the user's cache, and find nothing there; processes that they start neither.
_CACHE = tempfile.TemporaryDirectory(prefix="maskkit-tests-")
os.environ["MASKKIT_CACHE"] = _CACHE.name

find_gpu, _visible_gpus = engines._devices.find_gpu, os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Let "auto" be the CPU, in processes that a test starts, too; but for tests marked gpu."""
    is_marked = item.get_closest_marker("gpu") is not None
    engines._devices.find_gpu = find_gpu if is_marked else lambda: None
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if is_marked:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if _visible_gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = _visible_gpus


def fuzzing(n_tries):
    """Try so many inputs, the same ones every time; or as many others as nox -s fuzz asks for."""
    asked = int(os.environ.get("MASKKIT_FUZZ", 0))
    return settings(
        max_examples=asked or n_tries,
        deadline=None,
        derandomize=not asked,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def lock(monkeypatch):
    """Return a function that takes all permissions from a file or folder.

    The administrator may read everything. To tests that run as one, the system's functions give the error that they
    give to others.
    """
    locked = []

    def guard(function, *, inside_only=False):
        def guarded(path=".", *args, **kwargs):
            if isinstance(path, (str, os.PathLike)):
                place = Path(os.path.abspath(path))
                if any(item in place.parents or (item == place and not inside_only) for item in locked):
                    raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return function(path, *args, **kwargs)

        return guarded

    def lock(path):
        locked.append(Path(path).absolute())
        path.chmod(0)

    if os.geteuid() == 0:
        for place, name in ((os, "scandir"), (os, "listdir"), (builtins, "open"), (io, "open")):
            monkeypatch.setattr(place, name, guard(getattr(place, name)))
        for name in ("stat", "lstat"):
            monkeypatch.setattr(os, name, guard(getattr(os, name), inside_only=True))
    yield lock
    monkeypatch.undo()
    for path in locked:
        path.chmod(0o700)


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data; a test that asks for it is skipped where there is none."""
    places = [os.environ.get("MASKKIT_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "face-mask-12k").is_dir():
            return Path(place)
    pytest.skip("no real data: MASKKIT_DATA is not set and ../shared/data does not exist")


@pytest.fixture(scope="module")
def browser():
    """The installed Chromium with a fake camera; a test that asks for it is skipped where there is none."""
    name = "playwright.sync_api"
    sync_api = pytest.importorskip(name, reason="playwright is not installed: pip install 'maskkit[test]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium or google-chrome on the path")
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update"),
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def faces():
    """Drawn faces of two classes and their labels."""
    return make_faces(40)


@pytest.fixture(scope="session")
def face_paths(faces, tmp_path_factory):
    """The same faces as PNG files, and their labels."""
    folder = tmp_path_factory.mktemp("faces")
    paths = [folder / f"face {index}.png" for index in range(len(faces[0]))]
    for path, image in zip(paths, faces[0], strict=True):
        Image.fromarray(image).save(path)
    return paths, faces[1]


def make_classifier(**params):
    """A classifier that fits in a moment."""
    defaults = {
        "backbone": TinyBackbone(),
        "weights": None,
        "detector": FixedDetector([[0, 0, 64, 64]]),
        "fine_tune": False,
        "random_state": 0,
    }
    return MaskClassifier(**{**defaults, **params})


@pytest.fixture(scope="session")
def fitted(faces):
    """A fitted classifier. Do not refit it: other tests use it too."""
    return make_classifier().fit(*faces)


@pytest.fixture(scope="session")
def ray_cluster():
    """A cluster of two cores in this process, which `predict_batch` joins."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'maskkit[ray]'")
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_BACKEND_LOG_LEVEL="fatal")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def savable(faces):
    """A fitted classifier of plugins alone, so that it can be saved; each image is a face to it."""
    return make_classifier(backbone="timm:test_resnet", image_size=48, detector="whole", device="cpu").fit(*faces)
