"""Export.

Write a model as a single file for programs without maskkit.
"""

# %%
# `export` compares the file with the model before it writes it.

import json
import tempfile
from pathlib import Path

import numpy as np
import openvino
from PIL import Image
from skimage.data import astronaut

from maskkit import MaskClassifier, export

model = MaskClassifier.from_pretrained("maskkit-lite0")
folder = export(model, tempfile.mkdtemp() + "/exported", output_format="openvino")
for path in sorted(Path(folder).iterdir()):
    print(f"{path.name:12} {path.stat().st_size:>12,} bytes")

# %%
# `spec.json` describes the input and the output:

spec = json.loads((folder / "spec.json").read_text())
print("classes", spec["classes"])
print("input", spec["input"]["shape"])
parity = spec["parity"]
print(f"{parity['equal_labels']:.0%} of {parity['n_images']} labels as in torch")
print(f"largest difference of a probability {parity['largest_difference']:.1e}")

# %%
# Use it without maskkit. Preprocessing is included; faces must be detected and cropped
# first.

network = openvino.compile_model(folder / "model.xml", "CPU")
size = spec["input"]["shape"][1]
face = Image.fromarray(astronaut()).crop((150, 30, 300, 200)).resize((size, size))
probabilities = network(np.asarray(face)[np.newaxis])[0][0]
print(spec["classes"][probabilities.argmax()], f"{probabilities.max():.3f}")
