"""A photo that is not cropped.

A face classifier returns a label for a whole photo, too, but the label is unreliable,
because the face is only a small part of the picture.
"""

# %%
# The person wears no mask:

from PIL import Image
from skimage.data import astronaut

from maskkit import MaskClassifier

photo = Image.fromarray(astronaut())
photo.save("photo.png")

# %%
# The detector `"whole"` treats the whole photo as one face:

model = MaskClassifier.from_pretrained("maskkit-lite0", detector="whole")
face = model.predict_faces(photo)[0]
print(f"{face.label} {face.probability:.3f}")

# %%
# The prediction is wrong and confident. Now crop the face by hand, with a small margin:

crop = photo.crop((150, 30, 300, 200))
crop.save("crop.png")
print(model.predict([crop])[0], f"{model.predict_proba([crop]).max():.3f}")

# %%
# This prediction is correct. Cropping by hand is not necessary: without
# `detector="whole"`, maskkit's detector detects the faces of a photo first.

model = MaskClassifier.from_pretrained("maskkit-lite0")
result = model.predict_faces(photo)
for face in result:
    print(f"{face.label} {face.probability:.3f}, {face.size_px} px at {face.box}")
result.save("detected.png")
