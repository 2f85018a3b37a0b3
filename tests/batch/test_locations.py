"""No password of a storage is written or shown, and images are fetched with it all the same."""

# ruff: noqa: E402  # libraries may not be installed

import pickle
import traceback
from typing import ClassVar

import pytest

for library in ("pyarrow", "fsspec", "ray"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'maskkit[ray]'")

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, strategies as st

import maskkit
from maskkit._batch.locations import InputImage, Locations
from maskkit.exceptions import DataError
from tests.batch.test_batch import encode, run_here
from tests.conftest import fuzzing

SECRET = "Geheim"  # It occurs in no name by itself.


class Vault(MemoryFileSystem):
    """Storage that has a file only under the URL with its login or token."""

    protocol = "vault"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("vault://").strip("/")

    def unstrip_protocol(self, name):
        return "vault://" + name.strip("/")


@pytest.fixture
def vault():
    fsspec.register_implementation("vault", Vault, clobber=True)
    Vault.store.clear()
    Vault.pseudo_dirs[:] = [""]
    return Vault()


def contents_of(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_passwords_of_sources_are_in_no_file(vault, faces, savable, tmp_path):
    pngs = [encode(face) for face in faces[0][:6]]
    login = f"user:{SECRET}@host"
    for index in range(3):
        vault.pipe_file(f"{login}/photos/{index}.png", pngs[index])
    vault.pipe_file(f"host/signed.png?token={SECRET}", pngs[3])
    with vault.open(f"{login}/bytes.parquet", "wb") as file:
        pq.write_table(pa.table({"bytes": [pngs[4]]}), file)
    table = tmp_path / "paths.parquet"
    pq.write_table(
        pa.table({"path": [f"vault://host/signed.png?token={SECRET}", f"vault://host/gone?key={SECRET}"]}), table
    )
    sources = [
        f"vault://{login}/photos",
        f"vault://host/signed.png?token={SECRET}",
        f"vault://{login}/bytes.parquet",
        table,
    ]
    out = tmp_path / "out"
    run_here(savable, sources, out)
    rows = [row for part in sorted(out.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    assert [(row["source"], row["status"]) for row in rows] == [
        ("vault://host/photos/0.png", "ok"),
        ("vault://host/photos/1.png", "ok"),
        ("vault://host/photos/2.png", "ok"),
        ("vault://host/signed.png?token=***", "ok"),
        ("vault://host/bytes.parquet#0", "ok"),
        (f"{table}#0", "ok"),
        (f"{table}#1", "unreadable"),
    ]
    assert SECRET.encode() not in contents_of(out)
    assert SECRET not in str(rows)


@pytest.mark.parametrize(
    "source",
    [
        f"vault://user:{SECRET}@host/gone",
        f"vault://user:{SECRET}@host/gone.parquet",
        f"vault://host/gone?token={SECRET}",
        f"nosuch://user:{SECRET}@host/photos",
    ],
)
def test_passwords_are_in_no_error(vault, savable, tmp_path, source):
    with pytest.raises((DataError, ValueError)) as error:
        maskkit.predict_batch(savable, source, tmp_path / "out")
    assert SECRET not in "".join(traceback.format_exception(error.value))
    exc = error.value
    while exc is not None:
        assert SECRET not in f"{exc!r} {exc}"
        exc = exc.__cause__ or exc.__context__


urls = st.builds(
    "{}://{}host{}/{}{}".format,
    st.sampled_from(["https", "s3"]),
    st.sampled_from(["", f"user:{SECRET}@", f"{SECRET}@", f"user:a/b@{SECRET}@"]),
    st.sampled_from(["", ":8080"]),
    st.sampled_from(["a.jpg", "b/c.jpg", "", "a@2x.jpg"]),
    st.sampled_from(["", f"?token={SECRET}", f"?key={SECRET}2&n=1", f"?sig={SECRET}%3D"]),
)


@given(st.lists(urls | st.sampled_from(["/local/a.jpg", f"/local/key={SECRET}.jpg"]), max_size=12, unique=True))
@fuzzing(100)
def test_hidden_images_are_found_again(sources):
    locations = Locations()
    images = [InputImage(source, row) for source in sources for row in (None, 3)]
    shown = [locations.hide(image) for image in images]
    assert len(set(shown)) == len(set(images))
    assert [locations.hide(image) for image in images] == shown
    assert not any(SECRET in image.source for image in shown if "://" in image.source)
    assert [pickle.loads(pickle.dumps(locations)).restore(image) for image in shown] == images
