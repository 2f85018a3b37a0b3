"""Devices and precisions are words that are checked."""

import numpy as np
import pytest
import torch

from maskkit.engines._devices import autocast, resolve_device, resolve_precision, seeded
from tests.conftest import make_classifier

CPU = torch.device("cpu")


def test_auto_finds_a_device_that_computes():
    assert torch.ones(2, device=resolve_device("auto")).sum().item() == 2


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "device='gpu' is unknown; use 'auto'"), ("cuda:99", "'cuda:99' is not available on this machine")],
)
def test_wrong_devices_are_named(device, message):
    with pytest.raises(ValueError, match=message):
        resolve_device(device)


def test_precision_words():
    assert resolve_precision("float32", CPU) is torch.float32
    assert resolve_precision("auto", CPU) in (torch.float32, torch.bfloat16)
    with pytest.raises(ValueError, match="precision='half' is unknown; use 'auto', 'float32'"):
        resolve_precision("half", CPU)
    with pytest.raises(ValueError, match="'float16' needs a GPU"):
        resolve_precision("float16", CPU)


def test_autocast_changes_products_only_when_asked():
    layer, row = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with autocast(CPU, torch.bfloat16):
        assert layer(row).dtype is torch.bfloat16
    with autocast(CPU, torch.float32):
        assert layer(row).dtype is torch.float32


def test_seeded_gives_the_global_generator_back():
    torch.rand(3)
    before = torch.get_rng_state()
    with seeded(7):
        first = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(7):
        assert torch.equal(torch.rand(2), first)


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without the device")
def test_model_of_an_absent_device_can_be_moved(faces):
    model = make_classifier().fit(*faces)
    expected = model.predict(faces[0])
    model.set_params(device="cuda")  # as if it had been trained there
    with pytest.raises(ValueError, match="device='cuda' is not available on this machine"):
        model.predict(faces[0])
    np.testing.assert_array_equal(model.set_params(device="cpu").predict(faces[0]), expected)
