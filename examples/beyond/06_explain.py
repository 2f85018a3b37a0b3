"""Explain.

Which places of a face speak for the answer? Whether it is the mask, or something beside
it, shows what a model has learnt.
"""

# %%
# The portrait, bare and with a painted mask:

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
# Grad-CAM, one heat map a face. Yellow speaks most for the label, grey not at all:

explanation = explain_faces(model, photo)
explanation.save("explained.png")

# %%
# The map is a plain array, one number a pixel of the crop. How much of the heat lies in
# the lower half, where a mask would be?

for face in explanation:
    lower = face.heat[len(face.heat) // 2 :]
    print(f"{face.label:13} {lower.sum() / face.heat.sum():.0%}")
