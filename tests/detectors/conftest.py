"""Pictures and weights that the tests of detectors share."""

import numpy as np
import pytest
import skimage.data


@pytest.fixture(scope="session")
def portrait():
    """A woman's portrait (NASA, public domain), 512 x 512; her face lies in x 170-275, y 50-180."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def yunet_weights(tmp_path_factory):
    """Weights with YuNet's inputs and outputs that take every red square of 32 px for a face.

    A red square's centre becomes the centre of a box 64 px wide and 96 px high, with landmarks at
    whole and half squares from the square's top left corner.
    """
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    nodes, constants, outputs = [], [], []

    def constant(name, array):
        constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def answer(name, stride, weights_bgr, bias):
        kernel = np.zeros((len(bias), 3, stride, stride), np.float32) + np.float32(weights_bgr)[None, :, None, None]
        inputs = ["input", constant(f"{name}_kernel", kernel), constant(f"{name}_bias", np.float32(bias))]
        shape = constant(f"{name}_shape", np.array([1, -1, len(bias)], np.int64))
        nodes.append(
            helper.make_node("Conv", inputs, [f"{name}_map"], kernel_shape=[stride, stride], strides=[stride, stride])
        )
        nodes.append(helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]))
        nodes.append(helper.make_node("Reshape", [f"{name}_last", shape], [name]))
        # The published file, too, declares 640 x 640, and OpenCV overrides it.
        size = [1, (640 // stride) ** 2, len(bias)]
        outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size))

    nothing = [0, 0, 0]
    for stride in (8, 16, 32):
        share = 1 / (255 * stride**2)
        answer(f"cls_{stride}", stride, [-share, -share, share] if stride == 32 else nothing, [0])
        answer(f"obj_{stride}", stride, nothing, [1])
        answer(f"bbox_{stride}", stride, nothing, [0.5, 0.5, np.log(2), np.log(3)])
        answer(f"kps_{stride}", stride, nothing, [0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1])
    picture = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "red squares", [picture], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.checker.check_model(model)
    path = tmp_path_factory.mktemp("yunet") / "red_squares.onnx"
    onnx.save(model, path)
    return path
