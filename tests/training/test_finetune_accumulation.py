import numpy as np
import pytest

from maskkit import TransferHead
from maskkit.testing import TinyBackbone
from tests.conftest import make_classifier
from tests.training.fine_tuning import NormalisedBackbone, fit, tensors_of

# Nothing in it looks at the batch as a whole, and nothing is drawn for it as a whole.
PLAIN = {"backbone": TinyBackbone(), "head": TransferHead(dropout=0.0)}


class StillBackbone(NormalisedBackbone):
    """Draws nothing."""

    def build(self, weights):
        return super().build(weights)[:-1]


def distance(model, other):
    theirs = tensors_of(other)
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in tensors_of(model).items())


def test_two_batches_of_eight_are_one_of_sixteen():
    whole = fit(**PLAIN, batch_size=16)
    halves = fit(**PLAIN, batch_size=8, gradient_accumulation_steps=2)
    # Rounding of sums, as AdamW magnifies it where a gradient is next to nothing; a step moves by 1e-3.
    assert distance(whole, halves) < 1e-4
    np.testing.assert_allclose(
        [record["loss"] for record in halves.history_], [record["loss"] for record in whole.history_], rtol=1e-5
    )
    assert distance(whole, fit(**PLAIN, batch_size=8)) > 1e-3


def test_batch_normalisation_that_keeps_its_statistics_does_not_look_at_the_batch():
    still = {"backbone": StillBackbone(), "head": TransferHead(dropout=0.0)}
    halves = {"batch_size": 8, "gradient_accumulation_steps": 2}
    for weights, is_same in (("imagenet", True), (None, False)):
        whole, parts = fit(**still, weights=weights, batch_size=16), fit(**still, weights=weights, **halves)
        assert (distance(whole, parts) < 1e-4) == is_same


def test_one_step_is_what_it_was(faces):
    first, second = (
        make_classifier(fine_tune=True, epochs=3, precision="float32", **params).fit(*faces)
        for params in ({}, {"gradient_accumulation_steps": 1})
    )
    assert distance(first, second) == 0


def test_more_steps_than_batches_make_one_step(faces):
    model = fit(**PLAIN, batch_size=16, gradient_accumulation_steps=100, epochs=1)
    one = fit(**PLAIN, batch_size=32, epochs=1)  # 45 images: two batches of 16 are left
    assert distance(model, one) < 1e-4


def test_no_steps_are_refused(faces):
    with pytest.raises(ValueError, match="gradient_accumulation_steps == 0, must be >= 1"):
        make_classifier(fine_tune=True, gradient_accumulation_steps=0).fit(*faces)
    with pytest.raises(ValueError, match="gradient_accumulation_steps is for fine_tune=True"):
        make_classifier(fine_tune=False, gradient_accumulation_steps=2).fit(*faces)
