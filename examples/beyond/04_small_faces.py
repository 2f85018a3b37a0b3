"""Small faces.

A model trained on clear crops meets a camera far away. From which size on is it wrong?
"""

# %%
# The same faces are judged again and again: shrunk, blurred, compressed and darkened by
# degrees.

from maskkit import MaskClassifier, evaluate_robustness
from maskkit.testing import make_faces

faces, labels = make_faces(60)
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
model.fit(faces, labels)

new_faces, new_labels = make_faces(60, random_state=1)
robustness = evaluate_robustness(model, new_faces, new_labels)

# %%
# The mildest level of each that costs five points of recall:

for condition, level in robustness.breaks_at().items():
    print(f"{condition:9} {level}")

# %%
# The whole course of it, with intervals:

robustness.figures()["robustness"].savefig("robustness.png")

# %%
# `min_size_px` makes a model silent about faces that are too small for it, which the
# next example shows.
