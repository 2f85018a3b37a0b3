"""Devices of these tests."""

import os
import sys

import pytest

from maskkit import engines
from tests.gpu.fake_gpu import Memory, register


@pytest.fixture
def fake_gpu(monkeypatch):
    """The device that "auto" is in a test: not the CPU, but computed there."""
    device = register()
    monkeypatch.setattr(engines._devices, "find_gpu", lambda: device)
    monkeypatch.setattr(Memory, "max_images", sys.maxsize)
    monkeypatch.setattr(Memory, "n_until_full", sys.maxsize)
    return device


@pytest.fixture(scope="module")
def gpu():
    """The type of the real device that "auto" is; without one, tests marked gpu are skipped.

    MASKKIT_GPU_DRY=1 runs them on the CPU instead, to try the tests.
    """
    found = engines._devices.find_gpu()
    if found is None and "MASKKIT_GPU_DRY" not in os.environ:
        pytest.skip("no CUDA or MPS device")
    return "cpu" if found is None else found.type
