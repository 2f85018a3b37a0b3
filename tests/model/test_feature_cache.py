import shutil
import sqlite3
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from maskkit import FaceEmbedder
from maskkit._model.feature_cache import FileCache, MemoryCache
from maskkit.engines import OpenVINOEngine
from maskkit.testing import TinyBackbone, make_faces
from tests.conftest import make_classifier
from tests.helpers import FaceFinder


@pytest.fixture
def computed(monkeypatch):
    """Count the images that a network sees."""
    seen = []
    compute = OpenVINOEngine.compute

    def count(self, pixels):
        seen.append(len(pixels))
        return compute(self, pixels)

    monkeypatch.setattr(OpenVINOEngine, "compute", count)
    monkeypatch.setattr("maskkit._model.feature_cache._MEMORY", MemoryCache())
    return lambda: sum(seen)


@pytest.fixture
def paths(tmp_path):
    faces, labels = make_faces(40, random_state=8)
    files = [tmp_path / f"{index}.png" for index in range(40)]
    for file, face in zip(files, faces, strict=True):
        Image.fromarray(face).save(file)
    return files, labels


def make_embedder(**params):
    return FaceEmbedder(**{"backbone": TinyBackbone(), "weights": None, "random_state": 0, **params})


def entry(*numbers):
    return np.float32(numbers)


def test_frozen_backbone_sees_each_distinct_image_once(computed, paths):
    make_classifier(augment=None).fit(*paths).predict(paths[0])
    assert computed() == 40
    make_classifier().fit(*paths)
    assert computed() == 80  # and one changed copy of each
    make_classifier(head=LogisticRegression()).fit(*paths)
    assert computed() == 80


def test_of_an_image_and_its_copy_only_what_is_missing_is_computed(computed, paths):
    embedder = make_embedder().fit(paths[0])
    plain = embedder.transform(paths[0][:10])
    images = [*paths[0][:10], *paths[0][:3]]
    rows = np.concatenate([batch.features for batch in embedder._extractor().extract(images, with_copies=True)])
    assert computed() == 20
    np.testing.assert_array_equal(rows[:20:2], plain)
    np.testing.assert_array_equal(rows[20:], rows[:6])
    forgetful = make_embedder(cache=None, batch_size=3).fit(paths[0])
    again = np.concatenate([batch.features for batch in forgetful._extractor().extract(images, with_copies=True)])
    np.testing.assert_allclose(again, rows, rtol=1e-2, atol=1e-2)


def test_an_image_and_its_copy_share_one_look_for_a_face(paths, monkeypatch):
    looked = []
    embedder = make_embedder(find_face=True, cache=None).fit(paths[0])
    find = FaceFinder.find
    monkeypatch.setattr(FaceFinder, "find", lambda self, images: looked.extend(images) or find(self, images))
    assert sum(len(batch.features) for batch in embedder._extractor().extract(paths[0], with_copies=True)) == 80
    assert len(looked) == 40


def test_cross_validation_costs_one_pass(computed, paths):
    cross_val_score(make_classifier(), *paths, cv=5)
    assert computed() == 80


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_images_that_repeat_are_seen_once(computed, faces, batch_size):
    images = [faces[0][index % 5] for index in range(40)]
    embedder = make_embedder(batch_size=batch_size).fit(images)
    features = embedder.transform(images)
    assert computed() == 5
    np.testing.assert_array_equal(features, features[np.arange(40) % 5])


def test_repeated_images_are_right_without_room_to_keep_them(monkeypatch, faces):
    monkeypatch.setattr("maskkit._model.feature_cache._MEMORY", MemoryCache(n_bytes=1))
    images = [faces[0][index % 5] for index in range(40)]
    kept = make_embedder(batch_size=4).fit(images).transform(images)
    plain = make_embedder(batch_size=4, cache=None).fit(images).transform(images)
    np.testing.assert_allclose(kept, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "other",
    [{"image_size": 32}, {"random_state": 1}, {"engine": "torch"}, {"precision": "bfloat16"}, {"find_face": True}],
)
def test_whatever_changes_features_makes_them_anew(monkeypatch, faces, other):
    monkeypatch.setattr("maskkit._model.feature_cache._MEMORY", MemoryCache())
    params = {"precision": "float32"}
    make_embedder(**params).fit(faces[0]).transform(faces[0])
    fresh = make_embedder(**{**params, "cache": None, **other}).fit(faces[0]).transform(faces[0])
    found = make_embedder(**{**params, **other}).fit(faces[0]).transform(faces[0])
    np.testing.assert_array_equal(found, fresh)


def test_a_file_that_changed_is_another_image(computed, paths, faces):
    embedder = make_embedder().fit(paths[0])
    before = embedder.transform(paths[0][:1])
    Image.fromarray(np.ascontiguousarray(255 - faces[0][0])).save(paths[0][0])
    assert np.abs(embedder.transform(paths[0][:1]) - before).max() > 0


def test_memory_is_bounded_and_forgets_what_was_used_longest_ago():
    cache = MemoryCache(n_bytes=3 * 8)
    for key in "abc":
        cache.put({key: entry(1, 2)})
    assert cache.get("a") is not None
    cache.put({"d": entry(3, 4)})
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]


def test_file_is_shared_by_later_runs(computed, paths, tmp_path):
    file = tmp_path / "features.db"
    first = make_embedder(cache=file).fit(paths[0]).transform(paths[0])
    code = (
        "import sys, numpy as np; from maskkit import FaceEmbedder; from maskkit.testing import TinyBackbone;"
        "from maskkit.engines import OpenVINOEngine;"
        "OpenVINOEngine.compute = None;"  # whatever is computed fails
        "e = FaceEmbedder(TinyBackbone(), weights=None, random_state=0, cache=sys.argv[1]).fit(sys.argv[2:]);"
        "import numpy; sys.stdout.buffer.write(e.transform(sys.argv[2:]).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code, file, *paths[0]], capture_output=True, check=True)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32).reshape(first.shape), first)


def test_file_is_shared_by_processes_at_the_same_time(paths, tmp_path):
    alone = cross_val_score(make_classifier(cache=None), *paths, cv=4)
    model = make_classifier(cache=str(tmp_path / "features.db"))
    np.testing.assert_array_equal(cross_val_score(model, *paths, cv=4, n_jobs=2), alone)
    with sqlite3.connect(tmp_path / "features.db") as file:
        assert file.execute("SELECT count(*) FROM features").fetchone() == (80,)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


def test_damaged_entries_are_computed_again(computed, paths, tmp_path):
    file = tmp_path / "features.db"
    expected = make_embedder(cache=file).fit(paths[0]).transform(paths[0])
    connection = sqlite3.connect(file)
    with connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM features LIMIT 7")]
        connection.executemany(
            "UPDATE features SET features = zeroblob(length(features)) WHERE key = ?", [(key,) for key in keys]
        )
    connection.close()
    before = computed()
    np.testing.assert_allclose(make_embedder(cache=file).fit(paths[0]).transform(paths[0]), expected, rtol=1e-5)
    assert computed() - before == 7


@pytest.mark.parametrize("n_threads", [1, 8])
def test_damaged_file_is_renamed_once(tmp_path, n_threads):
    file = tmp_path / "features.db"
    cache = FileCache(file)
    cache.put({str(number): entry(*range(500)) for number in range(200)})
    cache._file.close()
    data = bytearray(file.read_bytes())
    data[4096:12288] = bytes(8192)
    file.write_bytes(data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        damaged = FileCache(file)
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(damaged.get, map(str, range(200))))
    assert [str(warning.message).partition(" (")[0] for warning in said] == [f"{file}: is damaged"]
    assert "renamed to features.db.broken" in str(said[0].message)
    damaged.put({"new": entry(1)})
    assert damaged.get("new").tolist() == [1]
    assert (tmp_path / "features.db.broken").exists()
    damaged._file.close()


def test_locked_file_is_not_damaged(tmp_path):
    cache = FileCache(tmp_path / "features.db")
    cache.put({"image": entry(1)})
    other = sqlite3.connect(cache.path)
    cache._file.execute("PRAGMA busy_timeout = 1")
    # Other connections cannot read a file that one connection has locked for itself.
    cache._file.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    assert cache.get("image") is None
    other.rollback()
    other.close()
    assert cache.get("image").tolist() == [1]
    cache._file.close()


def test_other_files_and_folders_are_never_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes.txt' is not a cache of maskkit; choose another name"):
        FileCache(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="is a folder; pass the path of a file"):
        FileCache(tmp_path)
    other = sqlite3.connect(tmp_path / "other.db")
    with other:
        other.execute("CREATE TABLE features (something)")
    other.close()
    with pytest.raises(ValueError, match=r"other.db' is not a cache of maskkit"):
        FileCache(tmp_path / "other.db")


def test_the_journal_of_another_program_stays_its_own(tmp_path):
    other = sqlite3.connect(tmp_path / "live.db")
    other.execute("PRAGMA journal_mode = WAL")
    with other:
        other.execute("CREATE TABLE notes (text)")
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{end}", tmp_path / f"copy.db{end}")
    other.close()
    # A damaged file of another program, whose journal may be all that is left.
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4080)
    (tmp_path / "damaged.db-wal").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("copy.db", "damaged.db"):
        with pytest.raises(ValueError, match=f"{name}' is not a cache of maskkit"):
            FileCache(tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
