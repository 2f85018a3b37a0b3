"""Exports to ONNX and OpenVINO, and their check against the classifier."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

import maskkit
from maskkit import MaskClassifier, export
from maskkit._export.export import _check_parity
from maskkit.engines import convert
from maskkit.exceptions import EngineError, ModelFileError
from maskkit.testing import FixedDetector, make_faces
from tests.conftest import make_classifier
from tests.export.conftest import main_or_exit

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
    append = "maskkit._export.graphs._WithPreprocessing.forward"
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


def test_differences_that_are_not_numbers_fail_the_check():
    parity = {"equal_labels": 1.0, "largest_difference": float("nan"), "n_images": 2}
    with pytest.raises(EngineError, match="the export differs from the model"):
        _check_parity(parity, int8=False)
    for part in ("detector", "not_a_face"):
        parity = {"equal_labels": 1.0, "largest_difference": 0.0, part: {"largest_difference": float("nan")}}
        with pytest.raises(EngineError, match=f"the export differs from the model: the .* {part} differ"):
            _check_parity(parity, int8=False)


@pytest.mark.parametrize("output_format", ["onnx", "openvino"])
def test_files_hold_classes_and_nothing_of_the_builder(model, tmp_path, output_format):
    folder = export(model, tmp_path / "exported", output_format=output_format)
    package = str(Path(maskkit.__file__).parent)
    for file in folder.iterdir():
        content = file.read_bytes()
        for trace in (package, str(Path.home()), "site-packages", "stack_trace", '.py", line', "_WithPreprocessing"):
            assert trace.encode() not in content, (file.name, trace)
    if output_format == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        metadata = onnxruntime.InferenceSession(folder / "model.onnx").get_modelmeta().custom_metadata_map
    else:
        import openvino

        network = openvino.Core().read_model(folder / "model.xml")
        names = ("classes", "names", "uncertain_below", "min_size_px", "spec")
        metadata = {name: network.get_rt_info(["model_info", name]).value for name in names}
    assert json.loads(metadata["classes"]) == model.classes_.tolist()
    assert json.loads(metadata["names"]) == {"0": "with_mask", "1": "without_mask"}
    assert (float(metadata["uncertain_below"]), float(metadata["min_size_px"])) == (0.6, 9)
    spec = json.loads((folder / "spec.json").read_text())
    assert json.loads(metadata["spec"]) == {name: spec[name] for name in spec if name not in ("parity", "files")}


def follow_spec(folder, image, box_xyxy):
    """Return the decision on a face and its probability, from the files of an export alone."""
    spec = json.loads((folder / "spec.json").read_text())
    wanted = spec["input"]
    assert wanted["crop_outside"] == "edge"
    assert wanted["resize_filter"] == "bilinear"
    assert wanted["normalization"]["in_graph"]
    height, width = image.shape[:2]
    left, top, right, bottom = np.clip(np.rint(box_xyxy), 0, [width, height, width, height])
    side = max(1, round(wanted["crop_margin"] * max(right - left, bottom - top)))
    column, row = round((left + right) / 2 - side / 2), round((top + bottom) / 2 - side / 2)
    before, after = (max(0, -row), max(0, -column)), (max(0, row + side - height), max(0, column + side - width))
    padded = np.pad(image, (*zip(before, after, strict=True), (0, 0)), mode=wanted["crop_outside"])
    row, column = row + before[0], column + before[1]
    crop = Image.fromarray(padded[row : row + side, column : column + side])
    pixels = np.asarray(crop.resize(wanted["shape"][1:3], Image.Resampling.BILINEAR), wanted["dtype"])
    (probabilities,) = compute(folder, pixels[None])
    if probabilities.max() < spec["uncertain_below"] or max(right - left, bottom - top) < spec["min_size_px"]:
        return "uncertain", probabilities
    return spec["classes"][probabilities.argmax()], probabilities


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    model = MaskClassifier.from_pretrained()
    return model, export(model, tmp_path_factory.mktemp("shipped") / "exported")


def test_spec_alone_gives_the_same_decisions_on_faces_at_the_edge(shipped):
    from skimage.data import astronaut

    model, folder = shipped
    image = astronaut()
    left, top, right, bottom = 173.0, 63.0, 274.0, 204.0
    edges = [0, 0.5, 20.5, 50.5, 80.25]
    boxes = [
        (left, top, right, bottom),
        (left, top, left + 7.4, top + 5.5),
        (left + 0.5, top + 1.5, right + 2.5, bottom),
    ]
    for cut in edges:
        view = image[int(top + cut) :, int(left + cut) :]
        face = (-cut, -cut + 0.5, right - left - cut, bottom - top - cut)
        compare_with_spec(model, folder, view, face)
        compare_with_spec(model, folder, np.ascontiguousarray(view[::-1, ::-1]), (
            view.shape[1] - face[2], view.shape[0] - face[3], view.shape[1] - face[0], view.shape[0] - face[1]
        ))  # fmt: skip
    for box in boxes:
        compare_with_spec(model, folder, image, box)


def compare_with_spec(model, folder, image, box):
    model.set_params(detector=FixedDetector([box]))
    model.detector_ = model.detector
    (face,) = model.predict_faces(np.ascontiguousarray(image))
    decision, probabilities = follow_spec(folder, image, box)
    assert decision == face.decision
    np.testing.assert_allclose(probabilities, list(face.probabilities.values()), atol=0.01)


def test_parity_is_stated_against_predict_too(shipped, model, tmp_path):
    parity = json.loads((shipped[1] / "spec.json").read_text())["parity"]["predict"]
    assert (parity["precision"], parity["equal_labels"], parity["equal_decisions"]) == ("auto", 1, 1)
    assert parity["largest_difference"] < 0.01
    faces = make_faces(20, random_state=4)[0]
    folder = export(model, tmp_path / "exported", images=faces)
    parity = json.loads((folder / "spec.json").read_text())["parity"]
    assert parity["predict"]["equal_decisions"] == 1
    assert parity["predict"]["largest_difference"] < 1e-3


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
