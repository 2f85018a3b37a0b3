"""Use a model written by ``maskkit export --format onnx`` without maskkit.

python examples/use_export.py exported face.png ...
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def main(folder, *paths):
    spec = json.loads((Path(folder) / "spec.json").read_text())
    size = spec["input"]["shape"][1]
    photos = [Image.open(path).convert("RGB") for path in paths]
    crops = [
        photo.resize((size, size), Image.Resampling.BILINEAR) for photo in photos
    ]
    session = onnxruntime.InferenceSession(Path(folder) / "model.onnx")
    (rows,) = session.run(None, {spec["input"]["name"]: np.stack(crops)})
    for path, row in zip(paths, rows, strict=True):
        is_decided = row.max() >= spec["uncertain_below"]
        label = spec["classes"][row.argmax()] if is_decided else "uncertain"
        print(path, label, f"{row.max():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
