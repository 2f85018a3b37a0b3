import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from maskkit.exceptions import WeightsError
from tests.helpers import check_weights_file, find_packaged_file, load_once


def test_threads_wait_for_one_loading():
    loaded = []

    def load(path):
        time.sleep(0.05)  # long enough for the other threads to come
        loaded.append(path)
        return object()

    load_once_only = load_once(load)
    with ThreadPoolExecutor(8) as pool:
        networks = list(pool.map(load_once_only, ["a"] * 8))
    assert loaded == ["a"]
    assert all(network is networks[0] for network in networks)


def test_other_weights_are_another_network():
    load = load_once(lambda path: [path])
    assert load("a") == ["a"]
    assert load("b") == ["b"]
    assert load("a") is load("a")


def test_every_argument_distinguishes_networks():
    calls = []

    def load(path, device, hint="LATENCY"):
        calls.append((path, device, hint))
        return object()

    load_any = load_once(load)
    networks = [load_any("a", device, hint) for device in ("cpu", "cuda") for hint in ("LATENCY", "THROUGHPUT")]
    assert len(set(networks)) == len(calls) == 4
    assert load_any("a", "cpu", "LATENCY") is networks[0]
    assert load_any("a", "cuda", "THROUGHPUT") is networks[3]
    assert len(calls) == 4


def test_an_argument_that_cannot_be_hashed_is_refused():
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        load_once(lambda paths: object())(["a", "b"])


def test_failed_loading_is_tried_again():
    answers = iter([OSError("busy"), "network"])

    def load(path):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    load_again = load_once(load)
    with pytest.raises(OSError, match="busy"):
        load_again("a")
    assert load_again("a") == "network"


def test_packaged_file_is_found_without_importing_its_package(tmp_path, monkeypatch):
    package = tmp_path / "explosive_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "models" / "net.dat").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    path = find_packaged_file("explosive_package", "models/net.dat", hint="install it")
    assert path == str(package / "models" / "net.dat")
    with pytest.raises(WeightsError, match=r"models/old\.dat of the package explosive_package is not installed"):
        find_packaged_file("explosive_package", "models/old.dat", hint="install it")


def test_absent_package_is_named_with_the_pip_line():
    with pytest.raises(WeightsError, match="pip install 'no-such-package>=1'"):
        find_packaged_file("no_such_package", "net.dat", hint="install it: pip install 'no-such-package>=1'")


def test_given_file_must_exist(tmp_path):
    (tmp_path / "net.dat").write_bytes(b"weights")
    assert check_weights_file(tmp_path / "net.dat") == str(tmp_path / "net.dat")
    with pytest.raises(WeightsError, match="no such file; check the path"):
        check_weights_file(tmp_path)
