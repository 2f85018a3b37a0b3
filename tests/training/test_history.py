"""history_ is a list of records that a notebook shows as a learning curve."""

import json
import pickle
from xml.etree import ElementTree

import pytest

from maskkit._training.history import History

RECORDS = [
    {"epoch": 1.0, "loss": 0.7, "accuracy": 0.5, "images_per_second": 10.0},
    {"epoch": 2.0, "loss": 0.3, "accuracy": 0.9, "images_per_second": 10.0},
]
HELD_OUT = [record | {"validation_loss": 0.6, "validation_accuracy": 0.75} for record in RECORDS]


def read_svg(history):
    html = history._repr_html_()
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + len("</svg>")])


def test_it_is_a_list_to_everything_else():
    history = History(RECORDS)
    assert history == RECORDS
    assert isinstance(history, list)
    assert repr(history) == repr(RECORDS)
    assert json.loads(json.dumps(history)) == RECORDS
    assert pickle.loads(pickle.dumps(history)) == RECORDS


def test_a_fitted_classifier_has_one_and_a_saved_one_too(savable, tmp_path):
    assert isinstance(savable.history_, History)
    loaded = type(savable).load(savable.save(tmp_path / "model"))
    assert isinstance(loaded.history_, History)
    assert loaded.history_ == savable.history_
    assert savable.history_ is not savable.head_.history_ or isinstance(savable.head_.history_, History)


@pytest.mark.parametrize(("records", "n_curves"), [(RECORDS, 2), (HELD_OUT, 4), (RECORDS[:1], 2)])
def test_its_drawing_has_a_curve_a_figure(records, n_curves):
    figure = History(records).figure()
    assert sum(len(axes.lines) for axes in figure.axes) == n_curves
    assert [axes.lines[0].get_ydata().tolist() for axes in figure.axes] == [
        [record[key] for record in records] for key in ("loss", "accuracy")
    ]


def test_a_notebook_shows_it_in_the_ink_of_the_page():
    history = History(HELD_OUT)
    html = history._repr_html_()
    assert "currentColor" in html
    assert "#123456" not in html
    assert "accuracy 0.9000 (held out 0.7500)" in html
    words = {text.strip() for element in read_svg(history).iter() for text in element.itertext()}
    assert {"epoch", "loss, held out", "accuracy"} <= words
    assert history._repr_html_() == html  # the same again, to the letter


def test_none_is_said_in_words():
    assert "No history" in History()._repr_html_()
