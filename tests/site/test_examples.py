"""The examples run as they stand: all of them when the site is built, and here those that stand for each kind."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
STORY = sorted([*FOLDER.glob("origin/*.py"), *FOLDER.glob("beyond/*.py")])
RUNNER = ROOT / "docs" / "hooks" / "run_examples.py"

SCRIPT = '''"""A title.

What it is about.
"""

# %%
# Prose of
# two lines:

from PIL import Image

print("first")
# a comment that is code

# %%
# A picture:

Image.new("RGB", (4, 4)).save("red-square.png")

# %%
# The end.
'''


def run(script, folder, *arguments):
    return subprocess.run([sys.executable, script, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("script", ["search_on_a_cluster.py", "origin/10_masked_and_unmasked.py"])
def test_example_runs_by_itself(script, tmp_path):
    if "cluster" in script:
        pytest.importorskip("ray", reason="ray is not installed: pip install 'maskkit[ray]'")
    done = run(FOLDER / script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("script", STORY, ids=lambda script: script.stem)
def test_example_uses_public_names_and_says_what_it_shows(script):
    source = script.read_text(encoding="utf-8")
    assert re.match(r'"""[A-Z][^\n]+\.\n\n[A-Z`]', source)
    assert "maskkit._" not in source
    assert "\n# %%\n# " in source


def test_sections_are_numbered_in_reading_order():
    for section in ("origin", "beyond"):
        numbers = [int(path.stem.split("_")[0]) for path in STORY if path.parent.name == section]
        assert numbers == list(range(1, len(numbers) + 1))


def test_scripts_outside_of_the_story_are_in_the_list():
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in listed for path in FOLDER.glob("*.py"))


def test_runner_keeps_prose_code_output_and_pictures(tmp_path):
    (tmp_path / "example.py").write_text(SCRIPT, encoding="utf-8")
    done = run(RUNNER, tmp_path, "example.py", "result")
    assert done.returncode == 0, done.stderr
    head, first, second, last = json.loads((tmp_path / "result" / "cells.json").read_text())
    assert head == {"prose": "A title.\n\nWhat it is about.", "code": "", "output": "", "pictures": []}
    assert first["prose"] == "Prose of\ntwo lines:"
    assert first["code"].endswith("# a comment that is code")
    assert first["output"] == "first\n"
    assert second["pictures"] == ["red-square.png"]
    assert last["code"] == ""
    assert {path.name for path in (tmp_path / "result").iterdir()} == {"cells.json", "red-square.png"}
    assert not (tmp_path / "red-square.png").exists()


def test_runner_stops_at_a_script_that_fails_and_names_the_line(tmp_path):
    (tmp_path / "example.py").write_text(SCRIPT.replace('print("first")', "1 / 0"), encoding="utf-8")
    done = run(RUNNER, tmp_path, "example.py", "result")
    assert done.returncode == 1
    line = SCRIPT.splitlines().index('print("first")') + 1
    assert f'example.py", line {line}' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert not (tmp_path / "result" / "cells.json").exists()


@pytest.fixture
def gallery(monkeypatch):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'maskkit[docs]'")
    monkeypatch.syspath_prepend(RUNNER.parent)
    return import_module("gallery")


def test_pages_show_code_output_and_pictures(gallery):
    cells = [
        {"prose": "A title.\n\nAbout.", "code": "", "output": "", "pictures": []},
        {"prose": "Look:", "code": "print(1)", "output": "1\n", "pictures": ["a-face.png", "b.png"]},
    ]
    page = gallery._make_page(Path("03_look_here.py"), cells)
    assert page.startswith("# A title\n\nAbout.\n\nLook:\n\n```python\nprint(1)\n```\n\n~~~~ {")
    assert "\n1\n~~~~\n" in page
    assert "![a face](look-here/a-face.png){ .example-picture } ![b](look-here/b.png)" in page
    assert page.endswith("[The script: 03_look_here.py](03_look_here.py){ .example-script }\n")


@pytest.mark.parametrize("script", STORY, ids=lambda script: script.stem)
def test_page_holds_the_whole_script(script, gallery):
    page = gallery._make_page(script, gallery._read(script, None))
    lines = [line.removeprefix("# ") for line in script.read_text(encoding="utf-8").splitlines()[2:]]
    assert all(line in page for line in lines if line not in ("%%", '"""'))


def test_index_leads_to_every_page(gallery):
    index = gallery._make_index({script: gallery._read(script, None) for script in STORY})
    assert all(f"({script.stem.split('_', 1)[1].replace('_', '-')}.md)" in index for script in STORY)
    assert "../docs/" not in index
