"""A batch run takes its folder for itself, leaves it out of its input, and takes photos of any name."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

import maskkit
from maskkit.exceptions import DataError, OutputError
from tests.batch.test_batch import folder, inputs_of, pngs, pytestmark, read_rows, run_here  # noqa: F401

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'maskkit[ray]'")

from maskkit._batch.parts import LOCK_FILE, Job, take_folder  # noqa: E402

HOLDER = """
import sys
from pathlib import Path
from maskkit._batch.parts import Job, take_folder
with take_folder(Job(sys.argv[1], "parquet", None)):
    print("taken", flush=True)
    sys.stdin.read()
"""


def test_of_two_runs_that_start_together_one_is_refused(savable, folder, tmp_path, monkeypatch):  # noqa: F811
    out = tmp_path / "out"
    first = subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"taken\n"
    listed = []
    monkeypatch.setattr("maskkit._batch.parts.list_inputs", lambda *args, **kwargs: listed.append(args) or iter([]))
    for same in (out, f"{tmp_path}/./out/", f"file://{out}"):
        with pytest.raises(OutputError, match="another run is writing to this folder"):
            maskkit.predict_batch(savable, folder, same)
    assert listed == []
    assert os.listdir(out) == [LOCK_FILE]
    first.kill()  # The lock of a process that is killed ends with it.
    first.communicate()
    with take_folder(Job(str(out), "parquet", None)):
        assert os.listdir(out) == [LOCK_FILE]
    assert os.listdir(out) == []


@pytest.mark.skipif(os.name == "nt", reason="filelock removes the file there")
def test_a_lock_that_is_removed_locks_nothing(tmp_path):
    """A run that opened the file just before it was removed is refused, and does not work beside the next one."""
    late = FileLock(tmp_path / "out" / LOCK_FILE, timeout=0)
    open_file = os.open

    def open_late(path, *args, **kwargs):
        handle = open_file(path, *args, **kwargs)
        if os.path.basename(path) == LOCK_FILE:
            running.close()
        return handle

    with ExitStack() as running, pytest.MonkeyPatch.context() as patch:
        running.enter_context(take_folder(Job(str(tmp_path / "out"), "parquet", None)))
        patch.setattr(os, "open", open_late)
        with pytest.raises(Timeout):
            late.acquire()
        assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("place", ["out", "more/out"])
def test_output_folder_inside_the_input_is_left_out(savable, folder, place):  # noqa: F811
    out = folder / place
    before = inputs_of(folder)
    run_here(savable, [folder], out)
    (out / "drawn.png").write_bytes((folder / "0.png").read_bytes())
    for source in (folder, f"{folder}/**"):
        assert len(inputs_of(source, out=str(out))) == len(before)
    run_here(savable, [folder], out)  # the same run, so nothing is refused
    with pytest.raises(OutputError, match="is the input folder and the output folder"):
        inputs_of(out, out=str(out))


def test_tables_in_the_output_folder_are_left_out(savable, pngs, tmp_path):  # noqa: F811
    import pyarrow as pa

    tables = tmp_path / "tables.parquet"
    tables.mkdir()
    pq.write_table(pa.table({"image": pngs[:3]}), tables / "a.parquet")
    for _ in range(2):
        run_here(savable, [tables], tables / "out")
    assert len(read_rows(tables / "out")) == 3


def test_photos_of_any_name_have_rows(savable, tmp_path, pngs):  # noqa: F811
    names = [b"caf\xe9.png", b"esc\x1b[31m.png", b"cr\rlf\n.png", b"x" * 245 + b".png"]
    photos = tmp_path / os.fsdecode(b"p\xff")
    photos.mkdir()
    for name, png in zip(names, pngs, strict=False):
        (photos / os.fsdecode(name)).write_bytes(png)
    run_here(savable, [photos], tmp_path / "out")
    rows = read_rows(tmp_path / "out")
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert any(row["source"].endswith(r"\udcff/caf\udce9.png") for row in rows)
    run_here(savable, [photos], tmp_path / "lines", output_format="jsonl")
    lines = [json.loads(line) for path in (tmp_path / "lines").glob("part*") for line in path.read_text().splitlines()]
    assert {os.path.basename(os.fsencode(row["source"])) for row in lines} == set(names)


def test_a_list_of_inputs_that_is_not_ours_is_kept(savable, folder, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    out.mkdir()
    (out / "_inputs.parquet").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"contains _inputs\.parquet"):
        run_here(savable, [folder], out)
    assert (out / "_inputs.parquet").read_bytes() == b"mine"


@pytest.mark.parametrize("empty", ["", Path("")])
def test_empty_paths_are_errors(savable, folder, tmp_path, empty):  # noqa: F811
    with pytest.raises(OutputError, match="empty path"):
        maskkit.predict_batch(savable, folder, empty)
    with pytest.raises(DataError, match="empty path"):
        maskkit.predict_batch(savable, [folder, empty], tmp_path / "out")
    assert not (tmp_path / "out").exists()
