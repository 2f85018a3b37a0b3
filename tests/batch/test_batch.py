"""Batch prediction in parts that can be resumed: on a Ray cluster of two workers, and in this process."""

# ruff: noqa: E402  # libraries may not be installed

import copy
import io
import itertools
import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import maskkit
from maskkit.datasets import find_images_below
from maskkit.exceptions import DataError, MaskkitError
from tests.conftest import make_classifier

for library in ("pyarrow", "fsspec", "ray"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'maskkit[ray]'")

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from maskkit._batch.cluster import cluster, divide_cores
from maskkit._batch.inputs import InputImage, list_inputs, read_contents, read_inputs, write_inputs
from maskkit._batch.parts import LOCK_FILE, MANIFEST_FILE, Job, compute_part, prepare
from maskkit._batch.results import predict_photos
from maskkit._batch.storage import write_atomically

# Ray and the libraries that it imports raise warnings of their own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def memory():
    """Empty in-memory storage of fsspec."""
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]
    return storage


@pytest.fixture(scope="module")
def pngs(faces):
    return [encode(image) for image in faces[0][:12]]


@pytest.fixture
def folder(pngs, tmp_path):
    """Folder of ten faces, a file that is not an image, and a subfolder with a face."""
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for index, png in enumerate(pngs[:10]):
        (place / f"{index}.png").write_bytes(png)
    (place / "broken.jpg").write_bytes(b"nothing")
    (place / "more" / "last.png").write_bytes(pngs[10])
    return place


def encode(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def inputs_of(*sources, column=None, out=None):
    return list(list_inputs(map(str, sources), column, lambda _: None, out=out))


def run_here(
    classifier, sources, out, *, crops=False, max_faces=None, column=None, output_format="parquet", part_size=4
):
    """Compute all parts in this process; return their counts."""
    job = Job(str(out), output_format, column)
    predictor = classifier.predictor_.limit_faces(max_faces)
    predictor = predictor.as_crops() if crops else predictor
    n_parts = prepare(job, predictor, list(map(str, sources)), part_size)
    return [compute_part(job, predictor, part) for part in range(n_parts)]


def read_rows(out):
    return [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def assert_same(rows, wanted):
    """Compare rows; images in batches of other sizes may differ by rounding."""
    assert len(rows) == len(wanted)
    for row, other in zip(rows, wanted, strict=True):
        numbers = [name for name in row if name.startswith("probability")]
        assert [row[name] for name in numbers] == pytest.approx([other[name] for name in numbers], abs=0.01)
        assert row | dict.fromkeys(numbers) == other | dict.fromkeys(numbers)


def expected_rows(classifier, paths):
    return [row for photo in classifier.predict_photos(map(str, paths)) for row in rows_of(photo)]


def rows_of(photo):
    """Return one row per face of a photo, or one with the status alone."""
    row = {"source": photo.name, "status": photo.status, "error": photo.error, "notes": " ".join(photo.notes)}
    row |= {"model": photo.model, "model_sha256": photo.model_sha256}
    columns = ["face", "decision", "label", "probability", "detection_score", "left", "top", "right", "bottom"]
    columns += ["size_px", "reasons", "probability_with_mask", "probability_without_mask"]
    values = [
        (
            *(number, face.decision, face.label, face.probability, face.detection_score, *face.box),
            *(face.size_px, " ".join(face.reasons), *face.probabilities.values()),
        )
        for number, face in enumerate(photo, 1)
    ]
    return [row | dict(zip(columns, of_face, strict=True)) for of_face in values] or [row | dict.fromkeys(columns)]


def test_failed_run_is_resumed(ray_cluster, savable, pngs, tmp_path):
    table = tmp_path / "photos.parquet"
    pq.write_table(pa.table({"image": [*pngs[:11], b"nothing"]}), table, row_group_size=3, compression="none")
    whole = table.read_bytes()
    # Damage to the third row group, which is the third part, as by a failing disk.
    start = pq.ParquetFile(table).metadata.row_group(2).column(0).data_page_offset
    table.write_bytes(whole[:start] + bytes(200) + whole[start + 200 :])
    options = {"part_size": 3, "workers": 2}
    with pytest.raises(MaskkitError, match=r"part 2: .*photos\.parquet.*Finished parts are kept"):
        maskkit.predict_batch(savable, table, tmp_path / "out", **options)
    left = {path.name: path.stat() for path in (tmp_path / "out").glob("part-*")}
    assert left
    assert "part-000002.parquet" not in left

    table.write_bytes(whole)
    summary = maskkit.predict_batch(savable, table, tmp_path / "out", **options)
    # The other worker may have finished its part while the error was on its way.
    assert summary.n_parts == 4
    assert len(left) <= summary.n_parts_before <= 3
    assert summary.n_images == 12 - 3 * summary.n_parts_before
    for name, before in left.items():
        after = (tmp_path / "out" / name).stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)

    uninterrupted = run_here(savable, [table], tmp_path / "other", part_size=3)
    assert [counts["n_unreadable"] for counts in uninterrupted] == [0, 0, 0, 1]
    assert_same(read_rows(tmp_path / "out"), read_rows(tmp_path / "other"))


def test_results_equal_those_of_predict_photos(savable, folder, tmp_path):
    paths = [*find_images_below(folder), folder / "gone.png"]
    counts = run_here(savable, [folder, folder / "gone.png"], tmp_path / "out")
    assert sum(part["n_images"] for part in counts) == 13
    assert sum(part["n_faces"] for part in counts) == 11
    assert sum(part["n_unreadable"] for part in counts) == 2
    rows = read_rows(tmp_path / "out")
    assert_same(rows, expected_rows(savable, paths))
    assert rows[-1]["error"] == f"{folder / 'gone.png'}: no such file; check the path."


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_remote_storage_gives_the_same_results(form, memory, savable, folder, tmp_path):
    memory.put(str(folder), "/photos", recursive=True)
    run_here(savable, [folder], tmp_path / "out")
    run_here(savable, ["memory://photos", "memory://photos/gone.png"], "memory://out", output_format=form)
    parts = [memory.cat_file(path) for path in memory.glob(f"/out/part-*.{form}")]
    if form == "parquet":
        rows = [row for part in parts for row in pq.read_table(io.BytesIO(part)).to_pylist()]
    else:
        rows = [json.loads(line) for part in parts for line in part.decode().splitlines()]
    gone = rows.pop()
    assert gone["error"] == "memory:///photos/gone.png: no such file; check the path."
    broken = next(row for row in rows if row["status"] == "unreadable")
    assert broken["error"].startswith("memory:///photos/broken.jpg: cannot be read as an image")
    local = read_rows(tmp_path / "out")
    assert [row["source"].removeprefix("memory:///photos") for row in rows] == [
        row["source"].removeprefix(str(folder)) for row in local
    ]
    without = {"source": "", "error": ""}
    assert_same([row | without for row in rows], [row | without for row in local])


def test_crops_are_classified_as_by_predict(folder, savable, tmp_path):
    sure = copy.deepcopy(savable).set_params(threshold=0.9)
    run_here(sure, [folder], tmp_path / "out", crops=True)
    rows = read_rows(tmp_path / "out")
    (broken,) = [row for row in rows if row["status"] == "unreadable"]
    assert broken["error"].startswith(f"{folder / 'broken.jpg'}: cannot be read as an image")
    rows.remove(broken)
    proba = savable.predict_proba([row["source"] for row in rows])
    assert [row["label"] for row in rows] == savable.classes_[proba.argmax(axis=1)].tolist()
    assert [row["probability"] for row in rows] == pytest.approx(proba.max(axis=1).tolist(), abs=0.01)
    decided = [row["label"] if row["probability"] >= 0.9 else "uncertain" for row in rows]
    assert [row["decision"] for row in rows] == decided
    assert {"uncertain", *savable.classes_} >= set(decided) != {"uncertain"}
    assert all(row["left"] == 0 for row in rows)


def test_integer_labels_stay_integers(faces, tmp_path, folder):
    model = make_classifier(backbone="timm:test_resnet", image_size=48, detector="whole")
    model.fit(faces[0], (faces[1] == "with_mask").astype(int) + 4)
    run_here(model, [folder / "0.png", folder / "1.png"], tmp_path / "out")
    assert [(row["label"], row["decision"]) for row in read_rows(tmp_path / "out")] == [(5, "5"), (4, "4")]


def test_few_images_are_read_ahead(savable, pngs):
    for predictor in (savable.predictor_, savable.predictor_.as_crops()):
        taken = itertools.count()
        endless = ((InputImage("table", next(taken)), png) for png in itertools.cycle(pngs))
        rows = predict_photos(predictor, endless)
        assert [row["source"] for of_image in itertools.islice(rows, 3) for row in of_image] == [
            "table#0",
            "table#1",
            "table#2",
        ]
        rows.close()
        assert next(taken) < 400


def test_local_and_remote_folders_are_listed_alike(memory, folder):
    memory.put(str(folder), "/photos", recursive=True)
    memory.pipe("/photos/.hidden.png", b"")
    memory.pipe("/photos/10.png", b"")
    (folder / "10.png").touch()
    here = [place.source for place in inputs_of(folder)]
    assert here == list(map(str, find_images_below(folder)))
    there = [place.source for place in inputs_of("memory://photos")]
    assert [name.removeprefix("memory:///photos") for name in there] == [
        name.removeprefix(str(folder)) for name in here
    ]
    assert [place.source for place in inputs_of(f"file://{folder}")] == here


def test_patterns_are_listed(memory, folder):
    memory.put(str(folder), "/photos", recursive=True)
    assert [place.source for place in inputs_of(folder / "[0-2].png")] == [str(folder / f"{n}.png") for n in range(3)]
    assert [place.source for place in inputs_of("memory://photos/[0-2].png")] == [
        f"memory:///photos/{n}.png" for n in range(3)
    ]


def test_images_without_ending_are_found_in_storage(memory, pngs):
    """By their first bytes; patterns give images only, in natural order, and no hidden ones."""
    for name in ("IMG10", "IMG2", "sub/b.txt", "a.jpg", ".hidden/c.png"):
        memory.pipe(f"/photos/{name}", pngs[0])
    memory.pipe("/photos/notes", b"BMW and P1")
    memory.pipe("/photos/Thumbs.db", b"\xd0\xcf\x11\xe0")
    memory.pipe("/photos/new.HEIC", b"")
    for pattern, wanted in (
        ("", ["a.jpg", "IMG2", "IMG10", "new.HEIC", "sub/b.txt"]),
        ("/*", ["a.jpg", "IMG2", "IMG10", "new.HEIC"]),
        ("/**", ["a.jpg", "IMG2", "IMG10", "new.HEIC", "sub/b.txt"]),
        ("/.hidden/*", [".hidden/c.png"]),
    ):
        found = [place.source for place in inputs_of(f"memory://photos{pattern}")]
        assert sorted(found) == sorted(f"memory:///photos/{name}" for name in wanted)
        assert [name for name in found if "IMG" in name] == ["memory:///photos/IMG2", "memory:///photos/IMG10"][
            : len(found) - 1
        ]


def test_locked_folder_in_storage_is_an_unreadable_item(memory, pngs, monkeypatch, savable):
    for name in ("a.png", "locked/b.png", "sub/c.png"):
        memory.pipe(f"/photos/{name}", pngs[0])
    ls = type(memory).ls

    def refuse(storage, path, *args, **kwargs):
        if path.rstrip("/").endswith("locked"):
            raise PermissionError("403 Forbidden")
        return ls(storage, path, *args, **kwargs)

    monkeypatch.setattr(type(memory), "ls", refuse)
    places = inputs_of("memory://photos")
    assert [place.source.rpartition("/photos/")[2] for place in places] == ["a.png", "locked", "sub/c.png"]
    rows = [row for of_image in predict_photos(savable.predictor_, read_contents(places, None)) for row in of_image]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "ok"]
    with pytest.raises(PermissionError):
        inputs_of("memory://photos/locked")


def test_batch_names_what_cannot_be_read(savable, folder, tmp_path, lock):
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    (folder / "no_ending").write_bytes((folder / "0.png").read_bytes())
    lock(folder / "more")
    run_here(savable, [folder], tmp_path / "out")
    status = {os.path.relpath(row["source"], folder): row["status"] for row in read_rows(tmp_path / "out")}
    assert len(status) == 15
    assert {name for name in status if status[name] == "unreadable"} == {"broken.jpg", "gone.jpg", "loop", "more"}


def test_relative_sources_are_found_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert inputs_of("photos/more") == [InputImage(str(folder / "more" / "last.png"), None)]


def test_table_of_paths(memory, tmp_path):
    table = tmp_path / "table.parquet"
    elsewhere = "memory://photos/b.png"
    pq.write_table(pa.table({"id": ["x"] * 4, "path": ["a.png", elsewhere, None, "/c.png"]}), table)
    places = inputs_of(table)
    assert places == [
        InputImage(str(tmp_path / "a.png"), None),
        InputImage(elsewhere, None),
        InputImage(str(table), 2),
        InputImage("/c.png", None),
    ]
    assert [content for _, content in read_contents(places, None)] == [None] * 4


def test_table_of_bytes_in_several_files(memory):
    for name, cells in (("2", [b"c", None]), ("10", [b"e"]), ("1", [b"a", b"b"])):
        with memory.open(f"/table.parquet/{name}.parquet", "wb") as file:
            pq.write_table(pa.table({"content": pa.array(cells, pa.large_binary())}), file, row_group_size=1)
    places = inputs_of("memory://table.parquet")
    assert [place.name for place in places[:3]] == [
        "memory:///table.parquet/1.parquet#0",
        "memory:///table.parquet/1.parquet#1",
        "memory:///table.parquet/2.parquet#0",
    ]
    assert [content for _, content in read_contents(places[1:], None)] == [b"b", b"c", None, b"e"]


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        (
            {"first": ["a"], "second": ["b"]},
            None,
            r"cannot choose the column .* It has: first \(string\), second \(string\)\.",
        ),
        ({"first": ["a"], "n": [1]}, "n", r"has no column 'n' of text.* it has: first \(string\), n \(int64\)\."),
        ({"n": [1]}, None, r"It has: n \(int64\)\."),
        ({}, None, "It has: no column"),
        ({"image": [[b"a"]], "n": [1]}, None, r"It has: image \(list<.*binary>\), n \(int64\)\."),
        ({"image": [[b"a"]]}, "image", r"has no column 'image' of .* it has: image \(list<.*binary>\)\."),
        ({"image": [{"path": 1, "pixels": b"a"}]}, None, r"It has: image \(struct<path: int64, pixels: binary>\)"),
        ({f"column{n}": [n] for n in range(99)}, None, r"column19 \(int64\) and 79 more\."),
    ],
)
def test_ambiguous_or_missing_column_raises(columns, column, message, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    with pytest.raises(DataError, match=message):
        inputs_of(tmp_path / "table.parquet", column=column)


def test_missing_sources_raise(memory, tmp_path):
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 nothing PAR1")
    for source, message in (
        (tmp_path / "gone", "contains no images or does not exist"),
        ("memory://gone", "contains no images or does not exist"),
        ("memory://gone/*.png", "contains no images or does not exist"),
        (tmp_path / "*.png", "matches no file"),
        (tmp_path / "gone.parquet", "no such file"),
        (tmp_path / "damaged.parquet", "cannot be read as Parquet"),
        (tmp_path, "contains no images"),
    ):
        with pytest.raises(DataError, match=message):
            inputs_of(source)


def test_inputs_are_stored_part_by_part():
    places = [InputImage(f"{index}.png", index if index % 2 else None) for index in range(10)]
    file = io.BytesIO()
    assert write_inputs(iter(places), file, 4) == 10
    assert [read_inputs(file, part) for part in range(3)] == [places[:4], places[4:8], places[8:]]


def fail_in_the_middle(storage, path):
    with write_atomically(storage, path) as file:
        file.write(b"half of the n")
        raise RuntimeError("power")


def test_files_are_written_atomically(memory, tmp_path):
    for folder, storage in ((str(tmp_path), fsspec.filesystem("file")), ("/here", memory)):
        storage.makedirs(folder, exist_ok=True)
        with write_atomically(storage, f"{folder}/part") as file:
            file.write(b"old")
        with pytest.raises(RuntimeError, match="power"):
            fail_in_the_middle(storage, f"{folder}/part")
        assert storage.cat_file(f"{folder}/part") == b"old"
        assert len(storage.ls(folder, detail=False)) == 1


@pytest.fixture
def earlier(savable, folder, tmp_path):
    """Folder of a finished run."""
    run_here(savable, [folder], tmp_path / "out")
    return tmp_path / "out"


def test_finished_run_computes_nothing(earlier, savable, folder):
    # The remains of a part from a run that was killed are ignored.
    (earlier / ".part-000001.parquet.1234abcd").write_bytes(b"half")
    summary = maskkit.predict_batch(savable, folder, earlier, part_size=4)
    assert (summary.n_parts, summary.n_parts_before, summary.n_images) == (3, 3, 0)
    assert str(summary).endswith(f"3 parts (3 from earlier runs): {earlier}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part_size": 5}, "different part size"),
        ({"crops": True, "output_format": "jsonl"}, "different crops, output format"),
        ({"max_faces": 3}, "different number of faces"),
        ({"model": {"threshold": 0.7}}, "different model"),
        ({"model": {"detector": "dlib_hog"}}, "different detector"),
        ({"more": True}, "different list of images"),
    ],
)
def test_results_of_a_different_run_are_kept(changes, message, earlier, savable, folder, tmp_path):
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    model = maskkit.MaskClassifier.load(savable.save(tmp_path / "model"), **changes.pop("model", {}))
    if changes.pop("more", False):
        shutil.copy(folder / "0.png", folder / "more" / "new.png")
    with pytest.raises(DataError, match=message):
        maskkit.predict_batch(model, folder, earlier, **{"part_size": 4, **changes})
    assert {path.name: path.read_bytes() for path in earlier.iterdir() if path.name != LOCK_FILE} == before


def test_saved_model_is_the_same_model(earlier, savable, folder, tmp_path):
    loaded = maskkit.MaskClassifier.load(savable.save(tmp_path / "model"), device="cpu", batch_size=3)
    assert maskkit.predict_batch(loaded, folder, earlier, part_size=4).n_parts_before == 3


def test_rewritten_table_is_a_different_input(savable, pngs, tmp_path):
    table = tmp_path / "table.parquet"
    for index, cells in enumerate((pngs[:3], [pngs[1], pngs[0], pngs[3]])):
        pq.write_table(pa.table({"bytes": cells}), table)
        if index:
            with pytest.raises(DataError, match="different list of images"):
                run_here(savable, [table], tmp_path / "out")
        else:
            run_here(savable, [table], tmp_path / "out")


def test_folder_with_other_files_raises(savable, folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=f"contains notes.txt and no {MANIFEST_FILE}"):
        maskkit.predict_batch(savable, folder, tmp_path / "out")
    (tmp_path / "out" / MANIFEST_FILE).write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        maskkit.predict_batch(savable, folder, tmp_path / "out")


def test_invalid_arguments_raise_before_anything_is_written(savable, folder, tmp_path, monkeypatch):
    for options, message in (
        ({"part_size": 0}, "part_size == 0"),
        ({"workers": 0}, "workers == 0"),
        ({"output_format": "csv"}, "output_format='csv'"),
    ):
        with pytest.raises(ValueError, match=message):
            maskkit.predict_batch(savable, folder, tmp_path / "out", **options)
    with pytest.raises(ValueError, match="sources is empty"):
        maskkit.predict_batch(savable, [], tmp_path / "out")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'maskkit\[ray\]'"):
        maskkit.predict_batch(savable, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("n_cores", "n_workers", "n_parts", "wanted"),
    [
        ([2], 2, 9, (2, 1)),
        ([2], None, 9, (1, 2)),
        ([16, 16], None, 99, (8, 4)),
        ([16, 16], None, 2, (2, 16)),
        ([3, 3], 3, 9, (3, 1)),
        ([4, 6], 2, 9, (2, 4)),
        ([2, 0], 5, 9, (5, 1)),
    ],
)
def test_workers_divide_the_cores(n_cores, n_workers, n_parts, wanted):
    assert divide_cores(n_cores, n_workers, n_parts) == wanted


def test_ray_starts_without_telemetry_and_stops(monkeypatch):
    import ray

    seen = []
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: seen.append((os.environ["RAY_USAGE_STATS_ENABLED"], given)))
    monkeypatch.setattr(ray, "shutdown", lambda: seen.append("stopped"))
    with pytest.raises(KeyError), cluster("local"):
        raise KeyError
    (telemetry, given), end = seen
    assert (telemetry, given["address"], given["include_dashboard"], end) == ("0", "local", False, "stopped")


def test_other_batch_sizes_differ_by_rounding_only(savable, folder, tmp_path):
    run_here(savable, [folder], tmp_path / "one", part_size=1)
    run_here(savable, [folder], tmp_path / "all", part_size=100)
    one, whole = read_rows(tmp_path / "one"), read_rows(tmp_path / "all")
    assert len(list((tmp_path / "one").glob("part-*"))) == 12
    assert_same(one, whole)
    assert np.ptp([row["probability"] for row in whole if row["probability"]]) > 0.01
