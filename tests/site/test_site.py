"""The site builds without a warning, asks nothing of other hosts, and its reference has every public name."""

import ast
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import maskkit

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'maskkit[docs]'")
griffe = pytest.importorskip("griffe", reason="griffe is not installed: pip install 'maskkit[docs]'")

ROOT = Path(__file__).parents[2]

# Used by the command line and the classifier, not part of the public API.
INTERNAL = {"maskkit.cli", "maskkit.engines", "maskkit.pretrained"}
MODULES = ["maskkit"] + [
    name
    for _, name, _ in pkgutil.iter_modules(maskkit.__path__, "maskkit.")
    if not name.startswith("maskkit._") and name not in INTERNAL
]
PUBLIC = [(module, name) for module in MODULES for name in import_module(module).__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if built := os.environ.get("MASKKIT_SITE"):
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "MASKKIT_EXAMPLES": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def described(site):
    """What the built pages describe, by full name."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split(" ", 1)[0] for line in zlib.decompress(inventory).decode().splitlines()}


def test_there_are_public_names():
    assert len(PUBLIC) > 60
    assert {"maskkit.testing", "maskkit.datasets", "maskkit.exceptions"} <= set(MODULES)


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_reference_has_every_public_name(module, name, described):
    thing = getattr(import_module(module), name)
    home = f"{getattr(thing, '__module__', module)}.{getattr(thing, '__qualname__', name)}"
    assert {f"{module}.{name}", home} & described, f"put '::: {module}.{name}' into a page of docs/reference"


def test_no_page_asks_other_hosts(site):
    asks = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
    found = {
        (page.relative_to(site).as_posix(), url)
        for page in site.rglob("*.html")
        for url in asks.findall(page.read_text(encoding="utf-8"))
    }
    assert not found
    styles = [text for sheet in site.rglob("*.css") if "url(http" in (text := sheet.read_text(encoding="utf-8"))]
    assert not styles


def test_documented_defaults_are_those_of_the_code():
    package = griffe.load("maskkit", search_paths=[ROOT / "src"], docstring_parser="numpy")
    wrong, n_compared = [], 0
    for module, name in PUBLIC:
        home = getattr(getattr(import_module(module), name), "__module__", None)
        if home is None or isinstance(getattr(import_module(module), name), ModuleType):
            continue
        thing = package[f"{home}.{name}".removeprefix("maskkit.")]
        for callable_ in (thing, *(thing.functions.values() if thing.is_class else ())):
            for parameter, stated, real in _defaults(callable_):
                n_compared += 1
                if stated != real:
                    wrong.append(f"{callable_.path}({parameter}): the docstring says {stated!r}, the code {real!r}")
    assert n_compared > 60
    assert not wrong, "\n".join(wrong)


def _defaults(thing):
    """Yield name, documented default and real one of each parameter that has a documented one."""
    if thing.docstring is None or not (thing.is_function or thing.is_class):
        return
    signature = thing.parameters
    for section in thing.docstring.parsed:
        if section.kind is not griffe.DocstringSectionKind.parameters:
            continue
        for parameter in section.value:
            name = parameter.name.lstrip("*")
            if parameter.default is not None and name in signature:
                yield name, _value(parameter.default), _value(signature[name].default)


def _value(text):
    try:
        return ast.literal_eval(str(text))
    except (ValueError, SyntaxError):  # a constant's name
        return str(text)
