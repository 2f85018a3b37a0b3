"""The notebook runs from top to bottom, each result shows itself, and none is stored with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"

# In a process of its own: what its kernel's libraries warn of is theirs.
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def read_code(path):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the cells show: its HTML by the last line of each."""
    for library in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(library, reason=f"{library} is not installed: pip install 'maskkit[test]'")
    done = tmp_path_factory.mktemp("notebook") / "done.ipynb"
    run = subprocess.run([sys.executable, "-c", RUN, NOTEBOOK, done], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    results = {}
    for cell in read_code(done):
        # A library may have something to say of the machine; that is a stream beside the result.
        (result,) = [output for output in cell["outputs"] if output["output_type"] != "stream"]
        assert "text/plain" in result["data"]
        results["".join(cell["source"]).splitlines()[-1]] = "".join(result["data"].get("text/html", ""))
    return results


def test_every_result_shows_itself(shown):
    assert len(shown) == 8
    assert all(shown.values())


def test_history_is_a_curve_in_the_ink_of_the_page(shown):
    html = shown["model.history_"]
    assert "<svg" in html
    assert "currentColor" in html
    assert "loss, validation images" in html
    assert "Confusion: rows are true classes" in html


def test_evaluations_are_tables(shown):
    assert "accuracy" in shown["evaluate(model, others, truths)"]
    assert "Drops from 64 px" in shown["evaluate(model, sets)"]


def test_photos_are_pictures_with_their_faces(shown):
    assert "data:image/jpeg;base64," in shown["bare"]
    assert shown["both"].count("<img") == 1
    assert "low_probability" in shown["both"]
    assert "without_mask" in shown["bare[0]"]
    assert "no face" in shown["nobody"]


def test_no_result_is_stored_with_it():
    for cell in read_code(NOTEBOOK):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
