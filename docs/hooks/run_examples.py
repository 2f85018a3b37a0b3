"""Run example scripts cell by cell and keep what they print and what pictures they save.

python docs/hooks/run_examples.py SCRIPT FOLDER [SCRIPT FOLDER ...]

A cell begins with a line ``# %%``, as in VS Code, Spyder and Jupytext; comment lines right after it are its prose, and
so is the module's docstring. The scripts run one after the other in this process, each in a namespace and an empty
working folder of its own. FOLDER gets ``cells.json`` and the PNG files that the script saved in its working folder
itself; what it saves deeper is its own affair.
"""

import ast
import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path


def split_cells(source):
    """Give [(prose, code), ...] of a script, the docstring's cell first."""
    docstring = ast.get_docstring(ast.parse(source), clean=True)
    body = source.split('"""', 2)[2]
    first, *others = re.split(r"^# %%.*\n", body, flags=re.MULTILINE)
    cells = [(docstring, first.strip("\n"))]
    for cell in others:
        prose = re.match(r"(?:#.*\n)*", cell).group()
        code = cell[len(prose) :].strip("\n")
        cells.append((re.sub(r"^# ?", "", prose, flags=re.MULTILINE).strip(), code))
    return cells


def run_script(script, folder):
    """Run one script and write FOLDER/cells.json and its pictures."""
    started = time.perf_counter()
    cells, namespace = [], {"__name__": "__main__"}
    source = Path(script).read_text(encoding="utf-8")
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work, contextlib.chdir(work):
        for prose, code in split_cells(source):
            before, printed = _list_pictures(), io.StringIO()
            # Code keeps its line in the script, so that a traceback points there.
            padding = "\n" * source[: source.index(code)].count("\n")
            with contextlib.redirect_stdout(printed):
                exec(compile(padding + code, script, "exec"), namespace)
            pictures = [name for name, written in _list_pictures().items() if before.get(name) != written]
            for name in pictures:
                shutil.copy(name, folder)
            cells.append({"prose": prose, "code": code, "output": printed.getvalue(), "pictures": pictures})
    # Last, so that a folder with this file is complete.
    (folder / "cells.json").write_text(json.dumps(cells, indent=1), encoding="utf-8")
    print(f"{time.perf_counter() - started:6.1f} s  {Path(script).name}", flush=True)


def _list_pictures():
    """Give the time of writing of each picture here, in the order in which they were written."""
    written = {path.name: path.stat().st_mtime_ns for path in Path().glob("*.png")}
    return dict(sorted(written.items(), key=lambda item: item[1]))


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    # On busy cores, threads that wait by spinning keep each other from working.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for script, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        run_script(os.path.abspath(script), os.path.abspath(folder))
