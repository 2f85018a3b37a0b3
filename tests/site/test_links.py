"""Every link in the prose leads somewhere: files and headings are looked up, the form of outside ones is checked."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"),
                *ROOT.glob("src/maskkit/pretrained/*/README.md")])  # fmt: skip

FENCE = re.compile(r"^(```+).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


def read(page):
    """Return the text of a page, without code and with what it includes."""
    text = SNIPPET.sub(lambda match: (ROOT / match[1]).read_text(encoding="utf-8"), page.read_text(encoding="utf-8"))
    return FENCE.sub("", text)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub and mkdocs both make them."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", read(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s+", "-", heading) for heading in plain} | set(re.findall(r"\{ *#([\w-]+)", read(page)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    wrong = []
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", read(page))):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if parts.scheme != "https" or "." not in parts.netloc or parts.netloc != parts.netloc.lower():
                wrong.append(f"{link}: want https://host/...")
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        # These pages are made when the site is built, which looks at links to them.
        if target == ROOT / "docs" / "examples" / "index.md":
            continue
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif not target.is_relative_to(ROOT):
            wrong.append(f"{link}: leads out of the repository")
        elif parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target):
            wrong.append(f"{link}: no such heading; there are {', '.join(sorted(anchors(target)))}")
    assert not wrong, "\n".join(wrong)


def test_links_are_found_and_headings_named():
    assert sum(len(LINK.findall(read(page))) for page in PAGES) > 100
    assert {"quick-start", "accuracy"} <= anchors(ROOT / "README.md")
    assert LINK.findall('[a](b.md#c) ![d](e.png) [f](https://g.h "i")') == ["b.md#c", "e.png", "https://g.h"]
