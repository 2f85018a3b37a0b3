"""One masked and one unmasked face.

A single label for the whole photo would be wrong here.
"""

# %%
# The original portrait beside a copy with a painted mask:

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
result.save("masked-and-unmasked.png")

# %%
# Blur the faces before you publish such pictures; boxes and labels stay visible:

result.save("blurred.png", blur=True)
