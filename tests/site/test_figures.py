"""Each measured figure has one source: pages quote the cards and the measurements."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CARD = ROOT / "src" / "maskkit" / "pretrained" / "maskkit-lite0" / "README.md"
SOURCES = [CARD, DOCS / "measurements.md", DOCS / "detector-card.md", *sorted((DOCS / "cards").glob("*.md"))]
# The figures in the guide to reporters are examples of a format. Output in code blocks is that of drawings.
_EXAMPLES = {"changelog.md", "model-card.md", "write-a-reporter.md"}
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    if path not in SOURCES and path.name not in _EXAMPLES
]
# 0.998 [0.991, 0.999], with or without a percent sign.
_INTERVAL = re.compile(r"\d+(?:\.\d+)? (?:% )?\[\d+\.\d+, \d+\.\d+\]")


def find_figures(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(_INTERVAL.findall(text))


KNOWN = set().union(*map(find_figures, SOURCES))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_figures_with_intervals_are_those_of_a_card_or_the_measurements(path):
    assert find_figures(path) <= KNOWN


def test_incorrect_masks_recognized_are_the_cards():
    card = CARD.read_text(encoding="utf-8")
    n_faces, n_recognized = re.search(r"Incorrectly worn masks: of (\d+), it recognized (\d+)", card).groups()
    quoted = [
        (path.name, *found)
        for path in PAGES
        for found in re.findall(r"(\d+) of (?:the )?(\d+)(?: such faces| recognized)", path.read_text(encoding="utf-8"))
    ]
    assert {name for name, *_ in quoted} >= {"README.md", "faq.md"}
    assert {(name, recognized, faces) for name, recognized, faces in quoted} == {
        (name, n_recognized, n_faces) for name, *_ in quoted
    }


def test_numbers_of_leaked_images_are_those_measured():
    measured = re.search(r"duplicate in Train \| (\d+) of", (DOCS / "measurements.md").read_text(encoding="utf-8"))[1]
    pages = (DOCS / "cards" / "face-mask-12k.md", DOCS / "explanation" / "in-distribution-accuracy.md")
    for path in pages:
        assert re.findall(r"(\d+) are found to have a duplicate", path.read_text(encoding="utf-8")) == [measured]


def test_enough_is_compared():
    assert len(KNOWN) > 50
    assert sum(len(find_figures(path)) for path in PAGES) > 10
