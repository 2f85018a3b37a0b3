"""The option --detector-size: the long sides to which the detector scales images."""

import json

import pytest
import skimage.data
from PIL import Image

from tests.cli.conftest import run

TWO_SIZES = ("--detector-size", 240, "--detector-size", 800)


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    """A photo of 800 px with a face that is 12 px wide."""
    canvas = Image.new("RGB", (800, 800), "gray")
    canvas.paste(Image.fromarray(skimage.data.astronaut()[20:220, 120:320]).resize((26, 26)), (300, 300))
    path = tmp_path_factory.mktemp("photos") / "portrait.png"
    canvas.save(path)
    return path


def count_faces(capsys, portrait, *arguments):
    code, out, _ = run(capsys, "predict", portrait, "--detector", "maskkit", "--format", "json", *arguments)
    assert code == 0
    (photo,) = json.loads(out)
    return len(photo["faces"])


def test_sizes_are_those_at_which_a_face_is_looked_for(model, portrait, capsys):
    assert count_faces(capsys, portrait, "--model", model, "--detector-size", 96) == 0
    assert count_faces(capsys, portrait, "--model", model, "--detector-size", 1600) == 1
    assert count_faces(capsys, portrait, "--model", model, "--detector-size", 128, "--detector-size", 1600) == 1
    assert count_faces(capsys, portrait, "--model", model) == 1


def test_a_close_up_is_found_once_at_two_sizes(model, capsys, tmp_path):
    Image.fromarray(skimage.data.astronaut()[60:190, 165:280]).save(tmp_path / "face.png")
    assert count_faces(capsys, tmp_path / "face.png", "--model", model, *TWO_SIZES) == 1


def test_sizes_below_32_are_refused(model, portrait, capsys):
    code, _, err = run(capsys, "predict", portrait, "--model", model, "--detector-size", 31)
    assert code == 2
    assert "Invalid value for '--detector-size': Input should be greater than or equal to 32" in " ".join(err.split())


@pytest.mark.parametrize("detector", ["whole", "dlib_hog"])
@pytest.mark.parametrize("sizes", [TWO_SIZES, TWO_SIZES[:2]])
def test_a_detector_that_does_not_scale_images_takes_no_size(model, portrait, capsys, detector, sizes):
    code, _, err = run(capsys, "predict", portrait, "--model", model, "--detector", detector, *sizes)
    message = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert "--detector-size" in message
    assert f"the detector {detector} does not scale images" in message


def test_yunet_takes_one_size(model, portrait, capsys, monkeypatch, tmp_path):
    pytest.importorskip("cv2")
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    code, _, err = run(capsys, "predict", portrait, "--model", model, "--detector", "yunet", *TWO_SIZES)
    message = " ".join(err.replace("│", " ").split())
    assert (code, "the detector yunet takes one size" in message) == (2, True)
    # One size is accepted; then the weights, which need a download, are missing.
    code, _, err = run(capsys, "predict", portrait, "--model", model, "--detector", "yunet", "--detector-size", 240)
    assert (code, "yunet_2023mar.onnx" in err) == (1, True)


def test_every_command_that_detects_faces_takes_it(model, data, portrait, capsys, tmp_path):
    commands = {
        "predict": (portrait,),
        "explain": (portrait, "--out", tmp_path / "explained"),
        "serve": ("--port", 0),
        "predict-batch": (portrait, "--out", tmp_path / "faces"),
        "evaluate": (annotate(portrait, tmp_path),),
    }
    for command, arguments in commands.items():
        code, _, err = run(capsys, command, *arguments, "--model", model, *TWO_SIZES)
        message = " ".join(err.replace("│", " ").split())
        assert (command, code) == (command, 2)
        assert "the detector whole does not scale images" in message
    assert [path.name for path in tmp_path.iterdir()] == ["annotated"]


def annotate(photo, folder):
    """Write a folder of one annotated photo."""
    annotated = folder / "annotated"
    annotated.mkdir()
    (annotated / photo.name).write_bytes(photo.read_bytes())
    box = "<bndbox><xmin>308</xmin><ymin>306</ymin><xmax>320</xmax><ymax>320</ymax></bndbox>"
    annotation = f"<annotation><object><name>without_mask</name>{box}</object></annotation>"
    (annotated / "portrait.xml").write_text(annotation)
    return annotated


def test_evaluate_detects_at_the_sizes(model, portrait, capsys, tmp_path):
    annotated = annotate(portrait, tmp_path)
    recalls = []
    for size in (96, 1600):
        arguments = ("--model", model, "--detector", "maskkit", "--detector-size", size, "--format", "json")
        code, out, _ = run(capsys, "evaluate", annotated, *arguments)
        assert code == 0
        recalls.append(json.loads(out)["metrics"])
    assert recalls[0] != recalls[1]
