"""Columns of images as other programs write them: categories, views, large types, and structs of Hugging Face."""

# ruff: noqa: E402  # libraries may not be installed

import io

import pytest
from PIL import Image

for library in ("pyarrow", "fsspec", "ray"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'maskkit[ray]'")

import pyarrow as pa
import pyarrow.parquet as pq

import maskkit
from maskkit.testing import make_faces
from tests.batch.test_batch import inputs_of, read_contents, run_here

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write_table(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        pq.write_table(pa.table(columns), path)
    except pa.ArrowNotImplementedError as exc:
        pytest.skip(f"this pyarrow cannot write it: {exc}")
    return path


def read_table(table):
    """Return the names and contents of the images of a table."""
    return [(image.name, content) for image, content in read_contents(inputs_of(table), None)]


@pytest.mark.parametrize(
    "text",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())],
    ids=str,
)
def test_text_of_any_type_holds_paths(tmp_path, text):
    paths = pa.array(["a.png", None, "/b.png"], pa.string())
    paths = paths.dictionary_encode() if pa.types.is_dictionary(text) else paths
    table = write_table(tmp_path / "t.parquet", file=paths.cast(text), n=[1, 2, 3])
    assert read_table(table) == [(f"{tmp_path}/a.png", None), (f"{table}#1", None), ("/b.png", None)]


@pytest.mark.parametrize(
    "binary",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())],
    ids=str,
)
def test_bytes_of_any_type_hold_images(tmp_path, binary):
    contents = pa.array([b"a", None, b"c"], pa.binary())
    contents = contents.dictionary_encode() if pa.types.is_dictionary(binary) else contents
    table = write_table(tmp_path / "t.parquet", n=[1, 2, 3], content=contents.cast(binary))
    assert read_table(table) == [(f"{table}#0", b"a"), (f"{table}#1", None), (f"{table}#2", b"c")]


@pytest.mark.parametrize("binary", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
@pytest.mark.parametrize("name", ["t.parquet", "t.parquet/split=train/0.parquet"])
def test_structs_of_bytes_and_path_are_images(tmp_path, name, binary):
    cells = [{"bytes": b"a", "path": "a.png"}, {"bytes": None, "path": "b.png"}, None, {"bytes": b"", "path": None}]
    image = pa.struct({"bytes": binary, "path": pa.string()})
    table = write_table(tmp_path / name, label=[0, 1, 0, 1], image=pa.array(cells, image))
    base = tmp_path if name == "t.parquet" else tmp_path / "t.parquet"
    assert [content for _, content in read_table(tmp_path / "t.parquet")] == [b"a", f"{base}/b.png", None, None]
    assert read_table(table)[0][0] == f"{table}#0"


@pytest.mark.parametrize("binary", [pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())], ids=str)
def test_rows_are_found_in_several_batches(tmp_path, binary):
    contents = [f"{row}".encode() for row in range(70)]
    cells = pa.array(contents).dictionary_encode() if pa.types.is_dictionary(binary) else pa.array(contents, binary)
    table = write_table(tmp_path / "t.parquet", content=cells)
    assert [content for _, content in read_table(table)] == contents
    later = inputs_of(table)[33:]
    assert [content for _, content in read_contents(later, None)] == contents[33:]


def test_structs_with_a_path_alone_are_paths(tmp_path):
    cells = pa.array([{"path": "a.png", "size": 3}, {"path": None, "size": 0}])
    table = write_table(tmp_path / "t.parquet", image=cells)
    assert read_table(table) == [(f"{tmp_path}/a.png", None), (f"{table}#1", None)]


def test_images_of_a_struct_are_classified(savable, tmp_path):
    faces = [Image.fromarray(face) for face in make_faces(3)[0]]
    encoded = io.BytesIO()
    faces[0].save(encoded, "PNG")
    faces[1].save(tmp_path / "1.png")
    cells = [{"bytes": encoded.getvalue(), "path": "gone.png"}, {"bytes": None, "path": "1.png"},
             {"bytes": None, "path": "gone.png"}, None]  # fmt: skip
    table = write_table(tmp_path / "t.parquet", image=pa.array(cells, IMAGE))
    (counts,) = run_here(savable, [table], tmp_path / "out")
    assert counts == {"n_images": 4, "n_faces": 2, "n_unreadable": 2}
    rows = pq.read_table(tmp_path / "out" / "part-000000.parquet").to_pylist()
    assert [row["source"] for row in rows] == [f"{table}#{row}" for row in range(4)]
    wanted = [savable.predict([face])[0] for face in (tmp_path / "1.png", maskkit.testing.make_faces(1)[0][0])]
    assert [row["label"] for row in rows[:2]] == wanted[::-1]
    assert "no such file" in rows[2]["error"]
    assert "the cell is empty" in rows[3]["error"]


def test_lists_of_images_are_refused_with_the_columns_and_their_types(tmp_path):
    table = write_table(
        tmp_path / "t.parquet", images=pa.array([[{"bytes": b"a", "path": None}]], pa.list_(IMAGE)), n=[1]
    )
    with pytest.raises(maskkit.exceptions.DataError, match=r"images \(list<.*struct<bytes: binary.*\), n \(int64\)"):
        inputs_of(table)
