"""Small faces.

At which face size does a model that was trained on sharp crops fail?
"""

# %%
# The same faces are evaluated repeatedly: shrunk, blurred, compressed and darkened at
# graded severities.

from maskkit import MaskClassifier, evaluate_robustness
from maskkit.testing import make_faces

faces, labels = make_faces(60)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
model.fit(faces, labels)

new_faces, new_labels = make_faces(60, random_state=1)
robustness = evaluate_robustness(model, new_faces, new_labels)

# %%
# The mildest level of each corruption that costs five points of recall:

for condition, level in robustness.breaks_at().items():
    print(f"{condition:9} {level}")

# %%
# Recall at every level, with intervals:

robustness.figures()["robustness"].savefig("robustness.png")

# %%
# `min_size_px` sets the decision on smaller faces to "uncertain", as the next example
# shows.
