"""Use a model that ``maskkit export --format onnx`` wrote, without maskkit.

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
    crops = [
        Image.open(path)
        .convert("RGB")
        .resize((size, size), Image.Resampling.BILINEAR)
        for path in paths
    ]
    session = onnxruntime.InferenceSession(Path(folder) / "model.onnx")
    (probabilities,) = session.run(None, {spec["input"]["name"]: np.stack(crops)})
    for path, row in zip(paths, probabilities, strict=True):
        best = row.argmax()
        print(
            path,
            spec["classes"][best]
            if row[best] >= spec["uncertain_below"]
            else "uncertain",
            f"{row[best]:.3f}",
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
