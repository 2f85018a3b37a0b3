"""The language of code and documentation: the field's terms, American spelling, no banned openings."""

import ast
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(ROOT.glob("src/**/*.py"))
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
)

# A docstring begins with an imperative of the field (Return, Compute, Load, ...) or with what the thing is.
OPENINGS = re.compile(r"(Give|Tell|Say|Name|Judge|Look)s?\b")
# Modules and classes are described by noun phrases or statements, not by clauses.
CLAUSES = re.compile(r"(Of|Its|What|Who|Whose|How|Where|When|Why)\b")
# Lines of documentation that hang in the air: "Of matrix products."
HANGING = re.compile(r"^\s+(Of|Its) [a-z]", re.MULTILINE)

# Word or pattern -> what to write instead.
WORDS = {
    r"\bstrangers?\b": "unexpected",
    r"\bway[ _]out\b": "hint",
    r"\bmost_(px|bytes)\b|\bleast_(px|bytes)\b": "max_, min_",
    r"\bhow sure\b": "confidence",
    r"\bbare (face|one|class)": "unmasked",
    r"\bfound[_ ]and[_ ]right\b": "end_to_end_recall",
    r"\bright[_ ]if[_ ]found\b": "accuracy_on_detected",
    r"\bcannot be had\b|\bto be had\b": "cannot be found or loaded",
    r"\b(an|a) (epoch|image|face|photo|class|record) (an|a) (epoch|image|face|photo|class|record)\b": "per",
    r"\bwho computes\b|\bwho multiplies\b": "inference backend",
    r"\bglance\b": "fast detector",
    # American spelling.
    r"\b\w*(normalis|initialis|standardis|quantis|recognis|summaris|generalis|optimis[ei]|serialis|realise)\w*": "-ize",
    r"\b(grey|colour\w*|behaviour\w*|licence\w*|centre\w*|favour\w*|neighbour\w*|labell\w*)\b": "American spelling",
    r"\b(learnt|spelt|judgement)\b": "American spelling",
}
ALLOWED = re.compile(r"CenterFace|colored|color:\s*grey")
# Places that quote somebody else's names: matplotlib's and CSS's colors, HTTP, data sets, licenses.
EXEMPT: set[str] = set()


def docstrings_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield getattr(node, "name", "module"), text


def comments_of(path):
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def messages_of(path):
    """Strings that are passed to exceptions, warnings and help texts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value:
                    yield part.value


def prose_of(page):
    """A page without its code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def find_openings(docstrings):
    return [
        f"{name}: {text.strip().splitlines()[0]}"
        for name, text in docstrings
        if OPENINGS.match(text.strip()) or CLAUSES.match(text.strip())
    ]


def find_words(text):
    return [
        f"{match[0]!r} -> {better}"
        for pattern, better in WORDS.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
        if not ALLOWED.search(match[0])
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_source_speaks_the_language_of_the_field(path):
    docstrings = list(docstrings_of(path))
    assert find_openings(docstrings) == []
    assert [line for _, text in docstrings for line in HANGING.findall(text)] == []
    text = "\n".join([*(text for _, text in docstrings), *comments_of(path), *messages_of(path)])
    assert find_words(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_speaks_the_language_of_the_field(page):
    assert find_words(prose_of(page)) == []


def test_enough_is_read():
    assert len(SOURCES) > 100
    assert len(PAGES) > 30
    assert sum(1 for path in SOURCES for _ in docstrings_of(path)) > 500


@pytest.mark.parametrize("text", ["Give the mean.", "Tells what it is.", "What trains.", "Of the network."])
def test_a_banned_opening_is_found(text):
    assert find_openings([("f", text)])


@pytest.mark.parametrize(
    "text", ["normalised", "how sure it is", "a bare face", "grey", "one record an epoch an image", "the behaviour"]
)
def test_a_banned_word_is_found(text):
    assert find_words(text)


@pytest.mark.parametrize("text", ["Return the mean.", "normalized", "CenterFace", "one per epoch", "the central face"])
def test_plain_words_pass(text):
    assert not find_words(text)
    assert not find_openings([("f", text)])
