"""The web page shows what the evaluation holds, escaped, without a network, and with blurred faces."""

import base64
import html
import io
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from maskkit import evaluate, evaluate_photos, evaluate_robustness
from maskkit.exceptions import OutputError
from maskkit.reporters import HtmlReporter
from maskkit.testing import check_reporter, make_faces
from tests.evaluation.test_evaluation import CLASSES, SAID, TRUTHS, Scripted, one_hot
from tests.evaluation.test_photo_evaluation import A, Finder, annotated, face

EVIL = "<script>alert(1)</script>&\"'"
THREE = ("mask_weared_incorrect", "with_mask", "without_mask")


class Page(HTMLParser):
    """The elements of a page, with the texts of its tables and the plots in it as XML."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.rows, self.plots = [], [], [], {}
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes += attributes.items()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "img":
            kind, _, content = attributes["src"].partition(",")
            assert kind == "data:image/svg+xml;base64"
            self.plots[attributes["alt"]] = ElementTree.fromstring(base64.b64decode(content))

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        if self.tags[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data


def faces_of(plot):
    """The pictures inside a plot, as arrays."""
    links = [value for part in plot.iter() for name, value in part.attrib.items() if name.endswith("href")]
    contents = [link.partition(",")[2] for link in links if link.startswith("data:image/png;base64,")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L")) for content in contents]


def write(evaluation, folder, **options):
    return Page(HtmlReporter(folder / "report.html", **options).report(evaluation))


def evaluate_kind(kind):
    faces = make_faces(10)[0], TRUTHS
    if kind == "comparison":
        return evaluate(Scripted(one_hot(SAID)), {"own": faces, "other": faces}, n_resamples=20)
    if kind == "robustness":
        return evaluate_robustness(Scripted(one_hot(SAID)), *faces, n_resamples=20)
    if kind == "two classes":
        return evaluate(Scripted(one_hot(SAID)), *faces, slices={"camera": ["door"] * 10}, n_resamples=20)
    if kind == "three classes":
        said, truths = [0, 1, 2, 0, 2, 1], [THREE[index] for index in (0, 1, 2, 1, 2, 0)]
        return evaluate(Scripted(one_hot(said, n_classes=3), THREE), make_faces(6)[0], truths, n_resamples=20)
    return evaluate_photos(Finder(*[[face(A, "with_mask")]] * 3), [annotated((A, "with_mask"))] * 3, n_resamples=20)


KINDS = ["two classes", "three classes", "photos", "comparison", "robustness"]


@pytest.fixture(scope="module", params=KINDS)
def reported(request, tmp_path_factory):
    """An evaluation of each kind and its page."""
    evaluation = evaluate_kind(request.param)
    return evaluation, write(evaluation, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def sharp(tmp_path):
    """An evaluation with two mistakes on pictures of black and white squares, and their paths."""
    squares = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((8, 8)))
    paths = []
    for index in range(4):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray((255 * squares).astype(np.uint8)).save(paths[-1])
    return evaluate(Scripted(one_hot([0, 1, 1, 1])), paths, [CLASSES[0], *CLASSES, CLASSES[0]], n_resamples=5), paths


def shown(cell):
    """The text of a cell."""
    if isinstance(cell, float):
        return "-" if np.isnan(cell) else f"{cell:.3f}"
    return "-" if cell is None else f"{cell:,}" if isinstance(cell, int | np.integer) else str(cell)


def test_the_page_has_every_metric_with_interval_and_count_and_every_table(reported):
    evaluation, page = reported
    for name, estimate in evaluation.metrics().items():
        assert [name, str(estimate), f"{estimate.n:,}"] in page.rows
    for table in evaluation.tables():
        assert list(table.columns) in page.rows
        assert all([shown(cell) for cell in row] in page.rows for row in table.rows)
        assert html.escape(table.title) in page.text
    assert set(page.plots) == {name.replace("_", " ") for name in evaluation.figures()}


def test_nothing_is_loaded_and_no_script_runs(reported):
    page = reported[1]
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    addresses = [value for name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert all(address.startswith("data:") for address in addresses)
    assert not re.search(r"https?://|url\(|@import", page.text)
    for plot in page.plots.values():
        links = [value for part in plot.iter() for name, value in part.attrib.items() if name.endswith("href")]
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        assert not any(part.tag.endswith("script") for part in plot.iter())


def test_the_same_evaluation_is_the_same_page(reported, tmp_path):
    evaluation, page = reported
    assert write(evaluation, tmp_path).text == page.text


# Plots have no room for such names.
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_labels_names_and_provenance_are_escaped(tmp_path):
    classes = [EVIL, "b\udcff\x1b[31m"]
    faces, truths = make_faces(4)[0], [EVIL, EVIL, classes[1], classes[1]]
    model = Scripted(one_hot([0, 1, 1, 0]), classes)
    sets = {EVIL: (faces, truths), "other": (faces, truths)}
    comparison = evaluate(model, sets, slices={EVIL: {EVIL: [EVIL] * 4}}, n_resamples=5)
    page = write(comparison, tmp_path, provenance={EVIL: EVIL})
    assert "script" not in page.tags
    assert "<script" not in page.text
    assert [EVIL, EVIL] in page.rows
    assert any(f"recall of {EVIL}" in row for row in page.rows)
    assert "\x1b" not in page.text


def test_faces_are_blurred_unless_an_option_says_otherwise(sharp, tmp_path):
    evaluation, _ = sharp
    assert len(evaluation.mistakes) == 2
    blurred, shown = (
        faces_of(write(evaluation, tmp_path, **options).plots["worst mistakes"]) for options in ({}, {"blur": False})
    )
    assert len(blurred) == len(shown) == 2
    # Half of the squares are black and half are white.
    assert max(float(picture.std()) for picture in blurred) < 20
    assert min(float(picture.std()) for picture in shown) > 100


def test_pictures_of_any_size_are_blurred(tmp_path):
    faces = [np.zeros((height, width, 3), dtype=np.uint8) for height, width in ((1, 1), (1, 30), (30, 1), (3, 4))]
    evaluation = evaluate(Scripted(one_hot([1, 1, 0, 1])), faces, [CLASSES[0]] * 4, n_resamples=5)
    assert len(faces_of(write(evaluation, tmp_path).plots["worst mistakes"])) == 3


@pytest.mark.parametrize("spoil", [os.remove, lambda path: path.write_bytes(b"no picture")])
def test_pictures_that_cannot_be_read_are_left_out(sharp, tmp_path, spoil):
    evaluation, paths = sharp
    spoil(next(path for path in paths if str(path) == evaluation.mistakes[0].name))
    page = write(evaluation, tmp_path)
    assert len(faces_of(page.plots["worst mistakes"])) == 1
    assert evaluation.mistakes[0].name in page.text


def test_no_file_is_replaced(tmp_path):
    evaluation, path = evaluate_kind("two classes"), tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already, and no file is replaced"):
        HtmlReporter(path).check_target()
    # The name may be taken while the evaluation is computed.
    assert HtmlReporter(path).report(evaluation) == tmp_path / "report-2.html"
    assert path.read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report-2.html", "report.html"]


def test_provenance_has_the_versions_and_what_is_given(tmp_path):
    page = write(evaluate_kind("photos"), tmp_path, provenance={"model": "model-3"})
    assert ["model", "model-3"] in page.rows
    assert {"Python", "maskkit", "torch", "numpy"} <= {row[0] for row in page.rows}


def test_contract(tmp_path):
    check_reporter(HtmlReporter(tmp_path / "new" / "report.html"))


def test_a_failure_leaves_no_file(sharp, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no plot")

    evaluation, _ = sharp
    monkeypatch.setattr(type(evaluation), "figures", fail)
    with pytest.raises(RuntimeError, match="no plot"):
        HtmlReporter(tmp_path / "new.html").report(evaluation)
    assert not (tmp_path / "new.html").exists()
