"""mkdocs hook: makes a page of each script in examples/origin and examples/beyond, with its real output.

Scripts run when the site is built; what they gave is kept in .cache/examples and used again until the script, the
library or an installed package changes. Pages exist in memory alone: nothing is written into docs/. MASKKIT_EXAMPLES=0
runs nothing, and shows prose and code alone.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from run_examples import split_cells

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CACHE = ROOT / ".cache" / "examples"
SECTIONS = ("origin", "beyond")


def on_config(config):
    """Fill the nav's entry "Examples" with the pages, in reading order."""
    config.watch.append(str(EXAMPLES))
    for entry in config.nav:
        if isinstance(entry, dict) and entry.get("Examples") == "examples/":
            sections = [{_title(EXAMPLES / name): [_page(path) for path in _scripts(name)]} for name in SECTIONS]
            entry["Examples"] = ["examples/index.md", *sections]
    return config


def on_files(files, config):
    """Run what has changed and add the pages, their pictures and the scripts themselves."""
    scripts = [path for name in SECTIONS for path in _scripts(name)]
    folders = _run(scripts) if os.environ.get("MASKKIT_EXAMPLES") != "0" else {}
    stories = {path: _read(path, folders.get(path)) for path in scripts}
    for path, cells in stories.items():
        files.append(File.generated(config, _page(path), content=_make_page(path, cells)))
        files.append(File.generated(config, f"examples/{path.name}", abs_src_path=str(path)))
        for picture in _pictures(cells):
            place = str(folders[path] / picture)
            files.append(File.generated(config, f"{_stem(path)}/{picture}", abs_src_path=place))
    files.append(File.generated(config, "examples/index.md", content=_make_index(stories)))
    return files


def _scripts(section):
    return sorted((EXAMPLES / section).glob("*.py"))


def _stem(path):
    """Give the page's place: 03_look_at_layers.py is at examples/look-at-layers."""
    return "examples/" + re.sub(r"^\d+_", "", path.stem).replace("_", "-")


def _page(path):
    return _stem(path) + ".md"


def _title(section):
    return (section / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _run(scripts):
    """Give the folder of each script's results, after running those that have none yet."""
    about = hashlib.sha256(repr(sorted(f"{one.name} {one.version}" for one in distributions())).encode())
    for path in [*sorted((ROOT / "src").rglob("*.py")), Path(__file__).with_name("run_examples.py")]:
        about.update(path.read_bytes())
    folders = {}
    for path in scripts:
        key = about.copy()
        key.update(path.read_bytes())
        folders[path] = CACHE / f"{path.stem}-{key.hexdigest()[:16]}"
    missing = [(path, folder) for path, folder in folders.items() if not (folder / "cells.json").exists()]
    if missing:
        arguments = [str(one) for pair in missing for one in pair]
        done = subprocess.run([sys.executable, Path(__file__).with_name("run_examples.py"), *arguments])
        if done.returncode:
            raise PluginError("An example failed; its traceback is above.")
    for old in set(CACHE.iterdir()) - set(folders.values()):
        shutil.rmtree(old)
    return folders


def _read(path, folder):
    """Give the cells of a script, with what they gave if it was run."""
    if folder is not None:
        return json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    cells = split_cells(path.read_text(encoding="utf-8"))
    return [{"prose": prose, "code": code, "output": "", "pictures": []} for prose, code in cells]


def _pictures(cells):
    return list(dict.fromkeys(picture for cell in cells for picture in cell["pictures"]))


def _make_page(path, cells):
    parts = []
    for index, cell in enumerate(cells):
        prose = cell["prose"] if index else _make_heading(cell["prose"])
        parts += [prose, f"```python\n{cell['code']}\n```" if cell["code"] else ""]
        if cell["output"].strip():
            parts.append(f"~~~~ {{ .text .no-copy .example-output }}\n{cell['output'].rstrip()}\n~~~~")
        name = _stem(path).removeprefix("examples/")
        parts.append(
            " ".join(
                f"![{Path(picture).stem.replace('-', ' ')}]({name}/{picture}){{ .example-picture }}"
                for picture in cell["pictures"]
            )
        )
    parts.append(f"[The script: {path.name}]({path.name}){{ .example-script }}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _make_heading(docstring):
    title, _, text = docstring.partition("\n")
    return f"# {title.rstrip('.')}\n\n{text.strip()}"


def _make_index(stories):
    """Join the README files, with a card for each script under its section."""
    # In examples/ the docs are next door, on the site they are above.
    parts = [(EXAMPLES / "README.md").read_text(encoding="utf-8").replace("](../docs/", "](../")]
    for section in SECTIONS:
        parts.append("#" + (EXAMPLES / section / "README.md").read_text(encoding="utf-8").rstrip())
        cards = "\n".join(_make_card(path, stories[path]) for path in _scripts(section))
        parts.append(f'<div class="grid cards example-cards" markdown>\n\n{cards}\n\n</div>')
    return "\n\n".join(parts) + "\n"


def _make_card(path, cells):
    title, _, text = cells[0]["prose"].partition("\n")
    page = _page(path).removeprefix("examples/")
    pictures, printed = _pictures(cells), max((cell["output"].rstrip() for cell in cells), key=len)
    title = title.rstrip(".")
    lines = [f"[**{title}**]({page})", " ".join(text.split())]
    if pictures:
        lines.insert(0, f"[![{title}]({page[:-3]}/{pictures[-1]}){{ .example-thumbnail }}]({page})")
    elif printed:
        lines.append(f"~~~~ {{ .text .no-copy .example-thumbnail }}\n{printed}\n~~~~".replace("\n", "\n    "))
    return "-   " + "\n\n    ".join(lines) + "\n"
