"""The choice of ``fine_tune="auto"``, and what a fit says of it before it reads images."""

import warnings

import pytest

from maskkit.exceptions import ImageError
from tests.conftest import make_classifier


def fit(n_images, **params):
    """Begin a fit, which ends at the first image."""
    labels = [0, 1] * (n_images // 2) + [0] * (n_images % 2)
    with pytest.raises(ImageError):
        make_classifier(detector="whole", **params).fit(["none.png"] * n_images, labels)


def get_line(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Training")]
    return line


@pytest.mark.parametrize("n_images", [667, 999, 1000, 1249, 1499])
def test_folds_that_may_be_trained_in_another_way_are_warned_of(n_images):
    with pytest.warns(UserWarning, match=rf"this fit has {n_images:,}\. In a cross-validation"):
        fit(n_images)


@pytest.mark.parametrize(
    ("n_images", "params"),
    [
        (665, {}),
        (1500, {}),
        (1000, {"fine_tune": True}),
        (1000, {"fine_tune": False}),
        (1000, {"augment": lambda x: x}),
    ],
)
def test_no_warning_where_the_choice_is_clear(n_images, params):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(n_images, **params)


@pytest.mark.parametrize(
    ("n_images", "fine_tune", "expected"),
    [
        (40, "auto", "Training only the head on a frozen backbone, because 40 images are fewer than 1,000."),
        (2000, "auto", "Training every layer, because 2,000 images reach 1,000. fine_tune=False"),
        (50, True, "Training every layer. fine_tune=False"),
        (50, False, "Training only the head on a frozen backbone. fine_tune=True"),
    ],
)
def test_a_verbose_fit_says_which_layers_it_trains_and_why(n_images, fine_tune, expected, capsys):
    fit(n_images, fine_tune=fine_tune, verbose=1)
    assert get_line(capsys).startswith(expected)


def test_a_fit_is_silent_by_default(capsys):
    fit(40)
    assert "Training" not in capsys.readouterr().err
