"""Explain.

Heat maps show which regions of a face a prediction depends on: the mask, or something
beside it.
"""

# %%
# The portrait without and with a painted mask:

import numpy as np
from skimage.data import astronaut

from maskkit import MaskClassifier, explain_faces
from maskkit.augment import paint_mask

model = MaskClassifier.from_pretrained("maskkit-lite0")
portrait = astronaut()
landmarks = model.predict_faces(portrait)[0].landmarks
masked = paint_mask(portrait, landmarks, kind="surgical", random_state=5)
photo = np.hstack([portrait, masked])

# %%
# Grad-CAM computes one heat map per face. Yellow regions speak most for the label, gray
# ones not at all:

explanation = explain_faces(model, photo)
explanation.save("explained.png")

# %%
# The map is an array with one value per pixel of the crop. Compute the share of the heat in
# the lower half, where a mask is worn:

for face in explanation:
    lower = face.heat[len(face.heat) // 2 :]
    print(f"{face.label:13} {lower.sum() / face.heat.sum():.0%}")
