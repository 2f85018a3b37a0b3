"""The choice of ``fine_tune="auto"``, and what a fit says of it before it reads images."""

import pytest

from maskkit.exceptions import ImageError
from tests.conftest import make_classifier


def announce(capsys, n_images, **params):
    """Begin a fit, which ends at the first image; return what it says."""
    labels = [0, 1] * (n_images // 2) + [0] * (n_images % 2)
    with pytest.raises(ImageError):
        make_classifier(detector="whole", **params).fit(["none.png"] * n_images, labels)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("n_images", "fine_tune", "expected"),
    [
        (40, "auto", "Training every layer on 4,800 images in 150 epochs. fine_tune=False"),
        (400, "auto", "Training every layer on 4,992 images in 13 epochs. fine_tune=False"),
        (2000, "auto", "Training every layer on 7,936 images in 4 epochs. fine_tune=False"),
        (20, True, "Training every layer on 3,000 images in 150 epochs. fine_tune=False"),
        (50, False, "Training only the head, on the features of 50 images. fine_tune=True"),
    ],
)
def test_a_verbose_fit_says_which_layers_it_trains_and_how_long(n_images, fine_tune, expected, capsys):
    assert expected in announce(capsys, n_images, fine_tune=fine_tune, verbose=1)


def test_epochs_that_are_given_are_kept(capsys):
    said = announce(capsys, 40, fine_tune="auto", epochs=2, batch_size=16, verbose=1)
    assert said.startswith("Training every layer on 64 images in 2 epochs.")


def test_a_fit_is_silent_by_default(capsys):
    assert "Training" not in announce(capsys, 40)
