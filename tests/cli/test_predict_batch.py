"""maskkit predict-batch on a Ray cluster of two workers."""

import json

import pytest
from PIL import Image

from maskkit.testing import make_faces
from tests.cli.conftest import run

pytest.importorskip("ray", reason="ray is not installed: pip install 'maskkit[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, image in enumerate(make_faces(5)[0]):
        Image.fromarray(image).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


def test_it_writes_parts_and_prints_a_summary(ray_cluster, savable, photos, tmp_path, capsys):
    model = savable.save(tmp_path / "model")
    out = tmp_path / "faces"
    arguments = ("predict-batch", photos, "--out", out, "--model", model, "--format", "jsonl", "--part-size", 2)
    code, said, progress = run(capsys, *arguments, "--workers", 2, "--crops")
    assert code == 1  # because of the file that is no image
    assert said == f"6 images, 5 faces, 1 unreadable; 3 parts: {out}\n"
    assert progress.splitlines()[-1].startswith("3 of 3 parts: ")
    rows = [json.loads(line) for path in sorted(out.glob("part-*.jsonl")) for line in path.read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 5 + ["unreadable"]
    wanted = savable.predict([row["source"] for row in rows[:5]]).tolist()
    assert [row["label"] for row in rows[:5]] == wanted

    code, said, progress = run(capsys, *arguments, "--crops")
    assert (code, progress) == (0, "")
    assert "(3 from earlier runs)" in said
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert err.startswith(f"maskkit: error: {out}: contains the results of a different run (different crops).")


def test_usage_is_checked(photos, tmp_path, capsys):
    for wrong in (("--part-size", 0), ("--workers", 0), ("--format", "csv")):
        assert run(capsys, "predict-batch", photos, "--out", tmp_path / "faces", *wrong)[0] == 2
    assert run(capsys, "predict-batch", photos)[0] == 2
    assert not (tmp_path / "faces").exists()
