"""Fit a classifier on faces, evaluate it, save it and load it again."""

import tempfile
from pathlib import Path

from faces import read_faces

from maskkit import MaskClassifier, evaluate

(images, labels), (new_images, new_labels) = read_faces()

model = MaskClassifier("efficientnet_lite0", random_state=0, verbose=1).fit(images, labels)
evaluation = evaluate(model, new_images, new_labels, reporters="console")

folder = model.save(Path(tempfile.mkdtemp()) / "model")
again = MaskClassifier.load(folder)
assert (again.predict(new_images) == model.predict(new_images)).all()
print(f"saved and loaded again: {folder}")
