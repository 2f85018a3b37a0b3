"""Export of models to ONNX and OpenVINO files."""
