"""The command `maskkit review`: the forms of DATA, and what it refuses."""

import asyncio
import re
import shutil

import pytest
from PIL import Image

from maskkit.review import FaceKey, LabelFile
from tests.cli.conftest import run, write_faces
from tests.review.conftest import draw_crops


@pytest.fixture
def review(savable, tmp_path, capsys, monkeypatch):
    """Return a function that runs the command, whose server ends at once; it returns exit code, output and faces."""
    model = savable.save(tmp_path / "model")
    faces = []

    async def start(self, sockets=None):
        app = self.config.app
        while not hasattr(app, "routes"):
            app = app.app
        (endpoint,) = [route.endpoint for route in app.routes if route.path == "/v1/faces"]
        faces[:] = endpoint()["faces"]

    monkeypatch.setattr("uvicorn.Server.startup", start)
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: asyncio.run(self.startup(sockets)))
    monkeypatch.chdir(tmp_path)

    def review(*arguments):
        code, out, err = run(capsys, "review", *arguments, "--model", model, "--port", 0)
        return code, out, err, faces

    return review


def test_class_folders_and_limit(review, tmp_path):
    data = write_faces(tmp_path / "faces", 24, ("Train", "Validation"))
    code, out, err, faces = review(data)
    assert code == 0, err
    assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/#[\w-]{32} \(press Ctrl-C to stop\)\n", out)
    assert "24 labeled crops" in err
    assert err.endswith(f"answers: {tmp_path / 'labels.csv'}\n")
    assert len(faces) == 24
    assert all(face["text"].startswith("labeled with") for face in faces)
    assert not (tmp_path / "labels.csv").exists()
    # Answered faces do not count.
    path = next(data.rglob("*.png"))
    LabelFile("labels.csv", has_boxes=False).write({FaceKey(path): "skipped"}, {path: "a"})
    assert len(review(data, "--limit", 5)[3]) == 6


def test_answers_and_taught_models_may_lie_in_the_data(review, tmp_path, savable):
    data = write_faces(tmp_path / "faces", 24)
    savable.save(data / "labels-model-2")
    assert len(review(data, "--labels", data / "labels.csv")[3]) == 24
    code, _, err, _ = review(data, "--labels", data / "other.csv")
    assert (code, "contains no image" in err) == (1, True)


def test_folders_without_labels(review, tmp_path):
    draw_crops(tmp_path / "photos" / "June", 5)
    draw_crops(tmp_path / "photos" / "July", 4)
    code, _, err, faces = review("photos")
    assert (code, len(faces)) == (0, 9)
    assert "9 faces found in 9 photos without annotations" in err
    assert faces[0]["text"].startswith("the model ")
    code, _, err, faces = review("photos", "--crops", "--labels", "other.csv")
    assert (code, len(faces)) == (0, 9)
    assert "9 crops without labels" in err


@pytest.mark.parametrize(
    ("arguments", "n_images", "kind", "first"),
    [
        (["faces"], 4, "images", r"faces/with(out)?_mask/\d\.png"),
        (["photos"], 4, "photos", r"photos/with/0\.png"),
        (["photos", "--crops"], 4, "images", r"photos/with/0\.png"),
        (["boxes.csv"], 2, "photos", r"photos/with/0\.png"),
    ],
)
def test_images_none_of_which_can_be_read_are_one_error(review, tmp_path, arguments, n_images, kind, first):
    for folder in ("faces/with_mask", "faces/without_mask", "photos/with", "photos/without"):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(2):
            (tmp_path / folder / f"{index}.png").write_bytes(b"no image")
    rows = "".join(f"photos/with/{index}.png,4,4,50,60,with_mask\n" for index in range(2))
    (tmp_path / "boxes.csv").write_text(f"path,xmin,ymin,xmax,ymax,label\n{rows}")
    code, out, err, _ = review(*arguments)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        f"maskkit: error: none of the {n_images} {kind} in DATA can be read; check the files, or pass others. "
        rf"The first: {first}: cannot be read as an image \(no format that Pillow knows\)\.\n",
        err,
    )


@pytest.mark.filterwarnings("default:1 of 3 photos:maskkit.exceptions.SkippedImageWarning")
def test_photos_without_a_face_are_counted(review, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    code, _, err, _ = review("photos", "--detector", "maskkit")
    assert code == 1
    assert "warning: 1 of 3 photos cannot be read and were left out: bad.png. The first: photos/bad.png: cannot" in err
    assert "error: the detector finds no face in 2 photos; if they are face crops, add --crops, else try" in err


def test_annotated_photos(review, tmp_path):
    draw_crops(tmp_path, 3)
    rows = "".join(f"{index}.png,4,4,{50 + index},60,with_mask\n" for index in range(3))
    (tmp_path / "boxes.csv").write_text(f"path,xmin,ymin,xmax,ymax,label\n{rows}")
    code, _, err, faces = review("boxes.csv")
    assert (code, len(faces)) == (0, 3), err
    assert "3 annotated faces" in err
    code, _, err, _ = review("boxes.csv", "--crops")
    assert code == 2
    assert "contains annotated photos" in err


def test_what_is_something_else_is_refused_before_work(review, tmp_path):
    data = write_faces(tmp_path / "faces", 8)
    (tmp_path / "labels.csv").write_text("my,notes\n1,2\n")
    code, out, err, _ = review(data)
    assert (code, out) == (1, "")
    assert "is no file of answers about these faces; pass another file" in err
    assert review(tmp_path / "missing", "--labels", "new.csv")[0] == 1
    (tmp_path / "empty").mkdir()
    code, _, err, _ = review(tmp_path / "empty", "--labels", "new.csv")
    assert (code, "contains no image" in err) == (1, True)
    shutil.copy(tmp_path / "labels.csv", tmp_path / "labels.txt")
    assert "does not end in .csv" in review(data, "--labels", "labels.txt")[2]
