"""The README and the docs say what works: their Python blocks run, their links and names exist."""

import re
from pathlib import Path

import pytest
from PIL import Image

from maskkit.testing import make_faces
from tests.site.blocks import run

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def read_blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


WITH_CODE = [page for page in PAGES if read_blocks(page, "python")]


def test_there_is_code_to_run():
    assert ROOT / "README.md" in WITH_CODE
    assert len(WITH_CODE) >= 6


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_python_blocks_run_one_after_the_other(page, tmp_path):
    images, labels = make_faces(24)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "faces" / ("Train" if index < 16 else "Validation") / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"face {index}.png")
    exit_code, output = run("\n".join(read_blocks(page, "python")), tmp_path)
    assert exit_code == 0, output


def test_every_verb_in_the_docs_exists():
    from maskkit.cli import app

    verbs = {command.callback.__name__ for command in app.registered_commands} | {"data"}
    commands = "".join(block for page in PAGES for block in read_blocks(page, "console"))
    used = set(re.findall(r"(?:^|/|&& )maskkit (\w+)", commands, re.MULTILINE))
    assert used
    assert used <= verbs


def test_docstring_examples_run():
    import doctest

    import maskkit
    import maskkit.testing

    tried = 0
    examples = (
        maskkit.MaskClassifier,
        maskkit.FaceEmbedder,
        maskkit.TransferHead,
        maskkit.explain,
        maskkit.testing.make_faces,
    )
    for thing in examples:
        for test in doctest.DocTestFinder(recurse=False).find(thing, thing.__name__, globs={}):
            result = doctest.DocTestRunner().run(test)
            assert result.failed == 0
            tried += result.attempted
    assert tried >= 18
