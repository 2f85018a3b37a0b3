"""The structure of the code: folders are domains, files and functions are small."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "maskkit"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def functions():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path, node


def is_documented_signature(node):
    """Constructors of estimators and commands list parameters for users; so do functions with a Parameters section."""
    text = ast.get_docstring(node) or ""
    return node.name == "__init__" or "Parameters\n" in text or "Example: maskkit" in text


def count_parameters(node):
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_at_most_six_modules_lie_in_the_root():
    """Besides ``__main__``, whose name and place Python decides."""
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__main__"]) <= 6


def test_no_file_has_more_than_400_lines():
    long = {path.name: n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_no_function_has_more_than_60_lines():
    """Signatures count, docstrings do not."""
    long = []
    for path, node in functions():
        docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
        if node.end_lineno - node.lineno + 1 - docstring > 60:
            long.append(f"{path.name}: {node.name}")
    assert long == []


def test_no_internal_function_has_more_than_8_parameters():
    many = [
        f"{path.name}: {node.name}"
        for path, node in functions()
        if count_parameters(node) > 8 and not is_documented_signature(node)
    ]
    assert many == []


def test_tests_import_few_private_names():
    lines = [
        line
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("from maskkit", "import maskkit")) and ("._" in line or "import _" in line)
    ]
    assert len(lines) <= 64


def test_enough_is_read():
    assert len(SOURCES) > 100
    assert sum(1 for _ in functions()) > 600
