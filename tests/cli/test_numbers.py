"""Numbers of the command line that are NaN or infinite are refused, before anything is read."""

import pytest

from tests.cli.conftest import run


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN", "1e999"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["train", "faces", "--out", "model"], "--learning-rate"),
        (["watch", "video.mp4"], "--max-lost"),
        (["watch", "video.mp4"], "--reconnect-timeout"),
        (["serve"], "--timeout"),
    ],
)
def test_a_number_that_is_not_finite_is_refused(capsys, command, option, value):
    code, out, err = run(capsys, *command, f"{option}={value}")
    assert (code, out) == (2, "")
    assert "Invalid value for" in err
    assert option in err


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_limit_that_is_not_finite_is_refused(capsys, value):
    code, _, err = run(capsys, "evaluate", "faces", "--fail-under", f"accuracy={value}")
    assert code == 2
    assert "want METRIC=MIN" in err
