"""A photo that is not cropped.

A classifier of faces that is shown a whole photo answers too, and the answer is worth
nothing: the face is a small part of what it sees.
"""

# %%
# She wears no mask:

from PIL import Image
from skimage.data import astronaut

from maskkit import MaskClassifier

photo = Image.fromarray(astronaut())
photo.save("photo.png")

# %%
# The detector `"whole"` does not look for faces, it takes the whole photo for one:

model = MaskClassifier.from_pretrained("maskkit-lite0", detector="whole")
face = model.predict_faces(photo)[0]
print(f"{face.label} {face.probability:.3f}")

# %%
# Wrong, and sure of it. Now cut out the face by hand, with a little room around it:

crop = photo.crop((150, 30, 300, 200))
crop.save("crop.png")
print(model.predict([crop])[0], f"{model.predict_proba([crop]).max():.3f}")

# %%
# Right. Nobody has to cut by hand: without `detector="whole"`, CenterFace finds the
# faces of a photo first.

model = MaskClassifier.from_pretrained("maskkit-lite0")
result = model.predict_faces(photo)
for face in result:
    print(f"{face.label} {face.probability:.3f}, {face.size_px} px at {face.box}")
result.save("found.png")
