"""history_ is a list of records that a notebook shows as a learning curve."""

import json
import pickle
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from maskkit import TransferHead
from tests.conftest import make_classifier


def make_history(**params):
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(40, 3)), np.arange(40) % 2
    return TransferHead(**{"epochs": 2, "random_state": 0, **params}).fit(features, labels).history_


def read_svg(history):
    html = history._repr_html_()
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + len("</svg>")])


def test_it_is_a_list_to_everything_else():
    history = make_history()
    records = [dict(record) for record in history]
    assert [record["epoch"] for record in records] == [1, 2]
    assert history == records
    assert isinstance(history, list)
    assert repr(history) == repr(records)
    assert json.loads(json.dumps(history)) == records
    assert pickle.loads(pickle.dumps(history)) == records


def test_a_fitted_classifier_has_one_and_a_saved_one_too(savable, tmp_path):
    kind = type(make_history())
    assert isinstance(savable.history_, kind)
    loaded = type(savable).load(savable.save(tmp_path / "model"))
    assert isinstance(loaded.history_, kind)
    assert loaded.history_ == savable.history_
    assert savable.history_ is not savable.head_.history_ or isinstance(savable.head_.history_, kind)


@pytest.mark.parametrize(("params", "n_curves"), [({}, 2), ({"early_stopping": True}, 8), ({"epochs": 1}, 2)])
def test_its_drawing_has_a_curve_a_figure(params, n_curves):
    history = make_history(**params)
    figure = history.figure()
    assert sum(len(axes.lines) for axes in figure.axes) == n_curves
    assert [axes.lines[0].get_ydata().tolist() for axes in figure.axes[:2]] == [
        [record[key] for record in history] for key in ("loss", "accuracy")
    ]


def test_a_notebook_shows_it_in_the_ink_of_the_page():
    history = make_history(early_stopping=True)
    html = history._repr_html_()
    assert "currentColor" in html
    assert "#123456" not in html
    best = min(history, key=lambda record: record["validation_loss"])
    assert f"accuracy {best['accuracy']:.4f} (validation {best['validation_accuracy']:.4f})" in html
    assert f"Epoch {best['epoch']:.0f}, 4 validation images" in html
    words = {text.strip() for element in read_svg(history).iter() for text in element.itertext()}
    assert {"epoch", "loss, validation images", "accuracy, training images"} <= words
    assert history._repr_html_() == html  # the same again, to the letter


def test_none_is_said_in_words(faces):
    model = make_classifier(head=LogisticRegression()).fit(*faces)
    assert model.history_ == []
    assert "No history" in model.history_._repr_html_()
