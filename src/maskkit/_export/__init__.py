"""Models as ONNX and OpenVINO files."""
