"""One masked face.

Predict the class probabilities of a single crop.
"""

# %%
# All pictures of people in these examples are NASA's portrait of the astronaut Eileen
# Collins, which is in the public domain. The mask is painted: `paint_mask` follows the
# landmarks that the detector returns.

from PIL import Image
from skimage.data import astronaut

from maskkit import MaskClassifier
from maskkit.augment import paint_mask

model = MaskClassifier.from_pretrained("maskkit-lite0")
portrait = astronaut()
landmarks = model.predict_faces(portrait)[0].landmarks

masked = paint_mask(portrait, landmarks, kind="respirator", random_state=3)
crop = Image.fromarray(masked).crop((150, 30, 300, 200))
crop.resize((300, 340)).save("masked.png")

# %%
# `predict` returns one class per crop; `predict_proba` returns one row of probabilities
# per crop, in the order of `classes_`.

print(model.predict([crop])[0])
probabilities = model.predict_proba([crop])[0]
for label, probability in zip(model.classes_, probabilities, strict=True):
    print(f"{label:22} {probability:.3f}")
