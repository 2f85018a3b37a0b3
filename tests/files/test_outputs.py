"""No file that exists is ever replaced, under any of its names."""

import errno
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from maskkit import MaskClassifier
from maskkit._display.charts import save_figure
from maskkit._files.outputs import (
    OutputFolders,
    check_new,
    check_output_folder,
    create_file,
    create_numbered,
    find_free,
    save_picture,
)
from maskkit.datasets import load_faces
from maskkit.exceptions import DataError, MaskkitError, ModelFileError, OutputError
from maskkit.reporters import JsonReporter
from tests.model.test_results import make_photo

PICTURE = Image.new("RGB", (8, 8))


def taken(folder):
    """Return paths that are taken, each in another way, and the one file with what it holds."""
    source = folder / "source.png"
    source.write_bytes(b"mine")
    os.link(source, folder / "hard.png")
    (folder / "soft.png").symlink_to("source.png")
    (folder / "dead.png").symlink_to("nothing.png")
    (folder / "inner").mkdir()
    spelled = [folder / "inner" / ".." / "source.png", folder / "." / "source.png", folder / "hard.png"]
    return [source, *spelled, folder / "soft.png", folder / "dead.png"]


def no_links(*args):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_taken_name_is_refused_in_every_spelling(tmp_path, monkeypatch, has_links):
    paths = taken(tmp_path)
    if not has_links:  # as on FAT
        monkeypatch.setattr(os, "link", no_links)
    for path in paths:
        for write in (
            lambda path: create_file(path, b"new"),
            lambda path: save_picture(PICTURE, path),
            lambda path: save_figure(Figure(), path),
            lambda path: make_photo().save(path),
            lambda path: JsonReporter(path).check_target(),
        ):
            with pytest.raises(OutputError, match="exists already"):
                write(path)
    assert (tmp_path / "source.png").read_bytes() == b"mine"
    assert not (tmp_path / "nothing.png").exists()
    assert create_file(tmp_path / "new.png", b"new").read_bytes() == b"new"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    """Another process makes the file between the check and the writing."""
    monkeypatch.setattr("maskkit._files.outputs.os.path.lexists", lambda path: False)
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a.png", b"new")
    assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_files_that_belong_together_get_one_number(tmp_path):
    contents = {("roc", ".png"): b"1", ("confusion", ".png"): b"2"}
    assert [path.name for path in create_numbered(tmp_path, contents)] == ["roc.png", "confusion.png"]
    (tmp_path / "roc.png").unlink()
    (tmp_path / "roc-2.png").write_bytes(b"mine")
    assert [path.name for path in create_numbered(tmp_path, contents)] == ["roc-3.png", "confusion-3.png"]
    assert find_free(tmp_path / "confusion.png").name == "confusion-2.png"


def test_crops_are_numbered_and_keep_every_file(tmp_path):
    photo = make_photo()
    first, second = photo.save_crops(tmp_path, stem="a"), photo.save_crops(tmp_path, stem="a")
    assert not set(first) & set(second)
    assert all(path.name.startswith("a-2-") for path in second)


@pytest.mark.parametrize("empty", ["", Path("")])
def test_an_empty_path_is_one_clear_error(empty, fitted, savable, faces):
    photo = make_photo()
    calls = [
        (lambda: photo.save(empty), OutputError),
        (lambda: photo.save_crops(empty), OutputError),
        (lambda: JsonReporter(empty).check_target(), OutputError),
        (lambda: savable.save(empty), ModelFileError),
        (lambda: MaskClassifier.load(empty), ModelFileError),
        (lambda: load_faces(empty), DataError),
        (lambda: MaskClassifier(checkpoint=empty).fit(*faces), OutputError),
        (lambda: fitted.predict([empty]), MaskkitError),
    ]
    for call, error in calls:
        with pytest.raises(error, match="empty path"):
            call()


def test_a_folder_that_only_looks_like_a_model_or_export_is_kept(savable, tmp_path):
    for folder, name in (("model", "maskkit.json"), ("export", "spec.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("{}")
    with pytest.raises(ModelFileError, match="is not a maskkit model"):
        savable.save(tmp_path / "model")
    from maskkit import export

    with pytest.raises(ModelFileError, match="is not a maskkit export"):
        export(savable, tmp_path / "export", output_format="openvino")


def test_what_is_inside_an_output_folder_is_left_out_however_it_is_named(tmp_path):
    out = tmp_path / "photos" / "out"
    out.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    inside, beside = tmp_path / "link" / "out" / "a.png", tmp_path / "link" / "b.png"
    written = OutputFolders([out])
    assert list(written.leave_out([inside, beside], tmp_path / "link")) == [beside]
    # What was asked for by a pattern may be results, or lies in a folder that contains all.
    with pytest.raises(OutputError, match="is the input folder and the output folder"):
        list(written.leave_out([inside], out / "*.png"))
    assert list(written.leave_out([inside.with_suffix(".jpg")], out / "*")) == [inside.with_suffix(".jpg")]
    assert list(written.leave_out([inside], inside)) == [inside]
    assert list(OutputFolders([tmp_path]).leave_out([inside, beside], tmp_path / "photos")) == [inside, beside]
    with pytest.raises(OutputError, match="is the input folder and the output folder"):
        written.check_source(tmp_path / "link" / "out")


@pytest.mark.parametrize("name", ["file/a.png", "file/deep/a.png", "link/a.png"])
def test_a_file_in_place_of_a_folder_is_told_before_work_begins(savable, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for call in (check_new, check_output_folder):
        with pytest.raises(OutputError, match=r"cannot be created, because .* is a file; choose another place"):
            call(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_model_is_not_saved_in_place_of_a_pipe(savable, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="exists and is not a maskkit model"):
        savable.save(tmp_path / "pipe")
