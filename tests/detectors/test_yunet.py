"""YuNet in OpenCV with weights that find red squares; the published ones need a download."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("cv2")

from maskkit.detectors import YuNetDetector, yunet
from maskkit.exceptions import WeightsError


def draw(width_px, height_px, cell_px, squares):
    """Draw squares on black; `squares` maps (column, row) to a colour."""
    image = np.zeros((height_px, width_px, 3), np.uint8)
    for (column, row), color in squares.items():
        image[row * cell_px : (row + 1) * cell_px, column * cell_px : (column + 1) * cell_px] = color
    return image


def write_identity(path):
    """Write another network than YuNet, which returns its input."""
    onnx = pytest.importorskip("onnx")
    size = [1, 3, 640, 640]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size) for name in ("input", "output")]
    node = onnx.helper.make_node("Identity", ["input"], ["output"])
    graph = onnx.helper.make_graph([node], "identity", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("width_px", "height_px", "cell_px"),
    [(800, 608, 32), (400, 300, 16), (300, 400, 16), (1600, 1200, 64), (1000, 750, 40), (800, 50, 32)],
)
def test_red_square_is_found_in_its_place_at_every_size(yunet_weights, width_px, height_px, cell_px):
    image = draw(width_px, height_px, cell_px, {(5, 0): (255, 0, 0)})
    faces = YuNetDetector(weights=yunet_weights).detect(image)
    cells = faces.boxes_xyxy / cell_px
    np.testing.assert_allclose(cells, [[4.5, -1, 6.5, 2]], atol=0.01)
    np.testing.assert_allclose(faces.landmarks / cell_px, [[[5, 0], [6, 0], [5.5, 0.5], [5, 1], [6, 1]]], atol=0.01)
    np.testing.assert_allclose(faces.scores, [1], atol=0.05)


def test_only_red_counts_so_channels_reach_the_network_as_bgr(yunet_weights):
    squares = {(3, 3): (0, 0, 255), (9, 9): (0, 255, 0), (15, 3): (255, 255, 255), (20, 12): (255, 0, 0)}
    faces = YuNetDetector(weights=yunet_weights).detect(draw(800, 608, 32, squares))
    np.testing.assert_allclose(faces.boxes_xyxy / 32, [[19.5, 11, 21.5, 14]], atol=0.01)


def test_scores_follow_the_network_and_the_threshold_acts_at_once(yunet_weights):
    squares = {(3, 3): (255, 0, 0), (20, 12): (128, 0, 0)}
    image = draw(800, 608, 32, squares)
    detector = YuNetDetector(weights=yunet_weights)
    # The score is the root of the class's and the object's: sqrt(128 / 255) and 1.
    np.testing.assert_allclose(detector.detect(image).scores, [1, np.sqrt(128 / 255)], atol=0.01)
    assert len(detector.set_params(threshold=0.8).detect(image)) == 1


def test_overlapping_boxes_are_dropped_as_asked(yunet_weights):
    image = draw(800, 608, 32, {(5, 5): (255, 0, 0), (6, 5): (250, 0, 0)})  # their boxes overlap by a third
    assert len(YuNetDetector(weights=yunet_weights, nms_iou=0.3).detect(image)) == 1
    assert len(YuNetDetector(weights=yunet_weights, nms_iou=0.4).detect(image)) == 2


def test_published_weights_are_downloaded_once(yunet_weights, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    sha256 = hashlib.sha256(yunet_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(yunet, "WEIGHTS_URL", yunet_weights.as_uri())
    monkeypatch.setattr(yunet, "WEIGHTS_SHA256", sha256)
    image = draw(800, 608, 32, {(5, 5): (255, 0, 0)})
    assert len(YuNetDetector().detect(image)) == 1
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    assert len(YuNetDetector().detect(image)) == 1


def test_without_network_the_error_names_address_and_hint(portrait, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("MASKKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"yunet_2023mar\.onnx .* from https://.* to .*checkpoints.*weights=PATH"):
        YuNetDetector().detect(portrait)


def test_wrong_weights_are_named(portrait, tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.onnx'.*no such file"):
        YuNetDetector(weights=tmp_path / "absent.onnx").detect(portrait)
    (tmp_path / "broken.onnx").write_bytes(b"not an ONNX file")
    for path in (tmp_path / "broken.onnx", write_identity(tmp_path / "identity.onnx")):
        with pytest.raises(WeightsError, match=r"\.onnx is not YuNet's ONNX file"):
            YuNetDetector(weights=path).detect(portrait)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"long_side_px": 0}, "long_side_px == 0, must be >= 32"),
        ({"threshold": -1}, "threshold == -1, must be >= 0"),
        ({"nms_iou": 2}, "nms_iou == 2, must be <= 1"),
    ],
)
def test_parameters_out_of_range_are_refused(portrait, yunet_weights, parameters, message):
    with pytest.raises(ValueError, match=message):
        YuNetDetector(weights=yunet_weights, **parameters).detect(portrait)
