"""Exports to ONNX and OpenVINO, and their check against the classifier."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from maskkit import export
from maskkit._export.export import _check_parity
from maskkit.cli import main
from maskkit.engines import convert
from maskkit.exceptions import EngineError, ModelFileError
from maskkit.testing import make_faces
from tests.conftest import make_classifier

# Runs a script where maskkit cannot be imported.
HIDDEN = """
import runpy, sys
sys.modules["maskkit"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

EXAMPLE = Path(__file__).parents[2] / "examples" / "use_export.py"


@pytest.fixture(scope="module")
def model():
    faces, labels = make_faces(40)
    return make_classifier(precision="float32", engine="torch", threshold=0.6, min_size_px=9).fit(faces, labels)


@pytest.fixture(scope="module")
def crops(model):
    return [np.asarray(Image.fromarray(face).resize((32, 32))) for face in make_faces(20, random_state=4)[0]]


def compute(folder, pixels):
    if (folder / "model.onnx").exists():
        onnxruntime = pytest.importorskip("onnxruntime")
        return onnxruntime.InferenceSession(folder / "model.onnx").run(["probabilities"], {"images": pixels})[0]
    import openvino

    return openvino.Core().compile_model(folder / "model.xml", "CPU")({"images": pixels})["probabilities"]


@pytest.mark.parametrize("output_format", ["onnx", "openvino"])
def test_export_agrees_with_the_classifier(model, crops, tmp_path, output_format):
    folder = export(model, tmp_path / "exported", output_format=output_format)
    expected = model.predict_proba(crops)
    np.testing.assert_allclose(compute(folder, np.stack(crops)), expected, atol=1e-2)
    np.testing.assert_allclose(compute(folder, np.stack(crops[:1])), expected[:1], atol=1e-2)


def test_spec_documents_input_output_and_parity(model, tmp_path):
    spec = json.loads((export(model, tmp_path / "new" / "exported") / "spec.json").read_text())
    assert spec["input"]["shape"] == ["n", 32, 32, 3]
    assert spec["input"]["color"] == "RGB"
    assert spec["classes"] == model.classes_.tolist()
    assert (spec["uncertain_below"], spec["min_size_px"]) == (0.6, 9)
    assert spec["parity"]["equal_labels"] == 1
    assert spec["parity"]["largest_difference"] < 1e-3
    assert spec["parity"]["on"] == "drawn faces"
    assert list(spec["files"]) == ["model.onnx"]


@pytest.mark.parametrize("output_format", ["onnx", "openvino"])
def test_wrong_export_is_not_written(model, tmp_path, monkeypatch, output_format):
    append = "maskkit._export.export._WithPreprocessing.forward"
    if output_format == "onnx":
        monkeypatch.setattr(append, lambda self, images: self.network(images.permute(0, 3, 1, 2).float()))
    else:
        monkeypatch.setattr(
            "maskkit._export.export.convert",
            lambda network, p: convert(network, type(p)(p.image_size, (0, 0, 0), (1, 1, 1))),
        )
    with pytest.raises(EngineError, match=r"the export differs from the model: .* Nothing was written"):
        export(model, tmp_path / "exported", output_format=output_format)
    assert list(tmp_path.iterdir()) == []
    export(model, tmp_path / "exported", output_format=output_format, check=False)
    assert (tmp_path / "exported" / "spec.json").exists()


def test_probabilities_that_are_not_numbers_fail_the_check():
    parity = {"equal_labels": 1.0, "largest_difference": float("nan"), "n_images": 2}
    with pytest.raises(EngineError, match="the export differs from the model"):
        _check_parity(parity, int8=False)


def test_int8_is_calibrated_on_images_or_taken_from_the_model(tmp_path):
    pytest.importorskip("nncf")
    faces, labels = make_faces(40)
    model = make_classifier(backbone="efficientnet_lite0", image_size=64).fit(faces, labels)
    with pytest.raises(ValueError, match="int8 needs calibration; pass images"):
        export(model, tmp_path / "a", output_format="openvino", int8=True)
    # Forty drawn faces are too few to check int8.
    params = {"output_format": "openvino", "int8": True, "check": False}
    folder = export(model, tmp_path / "a", images=faces, **params)
    assert "FakeQuantize" in (folder / "model.xml").read_text()
    assert json.loads((folder / "spec.json").read_text())["precision"] == "int8"
    model.quantize(faces)
    other = export(model, tmp_path / "b", **params)
    assert (other / "model.bin").stat().st_size == (folder / "model.bin").stat().st_size


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"output_format": "tflite"}, "output_format='tflite' is unknown; use 'onnx' or 'openvino'"),
        ({"output_format": "onnx", "int8": True}, "int8 needs OpenVINO"),
    ],
)
def test_invalid_parameters_raise(model, tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        export(model, tmp_path / "exported", **params)


def test_other_heads_and_other_folders_raise(model, faces, tmp_path):
    with pytest.raises(ValueError, match="export supports a TransferHead, not LogisticRegression"):
        export(make_classifier(head=LogisticRegression()).fit(*faces), tmp_path / "exported")
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ModelFileError, match="exists and is not a maskkit export"):
        export(model, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_example_uses_an_export_of_the_command_without_maskkit(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    faces, _ = make_faces(6, random_state=2)
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for path, face in zip(paths, faces, strict=True):
        Image.fromarray(face).save(path)
    main_or_exit(["export", "--format", "onnx", "--images", str(tmp_path), "--out", str(tmp_path / "exported")])
    assert "100.00% of 6 labels equal those of float32 torch" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, EXAMPLE, tmp_path / "exported", *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 6


def main_or_exit(arguments):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 0
