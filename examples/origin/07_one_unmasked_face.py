"""One unmasked face.

Predict the class probabilities of the same portrait without a mask.
"""

# %%
# The crop has the same position and size as in the previous example:

from PIL import Image
from skimage.data import astronaut

from maskkit import MaskClassifier

model = MaskClassifier.from_pretrained("maskkit-lite0")
crop = Image.fromarray(astronaut()).crop((150, 30, 300, 200))
crop.resize((300, 340)).save("unmasked.png")

# %%
# The prediction:

print(model.predict([crop])[0])
probabilities = model.predict_proba([crop])[0]
for label, probability in zip(model.classes_, probabilities, strict=True):
    print(f"{label:22} {probability:.3f}")
