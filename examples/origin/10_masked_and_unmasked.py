"""One masked, one bare.

The case that a label for the whole photo cannot answer.
"""

# %%
# The portrait as it is, and a copy with a painted mask:

import numpy as np
from skimage.data import astronaut

from maskkit import MaskClassifier
from maskkit.augment import paint_mask

model = MaskClassifier.from_pretrained("maskkit-lite0")
portrait = astronaut()
landmarks = model.predict_faces(portrait)[0].landmarks
masked = paint_mask(portrait, landmarks, kind="surgical", random_state=5)
photo = np.hstack([portrait, masked])

# %%
# Boxes are left, top, right, bottom in pixels:

result = model.predict_faces(photo)
for face in result:
    print(f"{face.label:13} {face.probability:.3f} at {face.box}")
result.save("one-masked-one-bare.png")

# %%
# If you publish such pictures, blur the faces; the answers stay:

result.save("blurred.png", blur=True)
