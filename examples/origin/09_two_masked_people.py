"""Two masked people.

A photo may show any number of faces; each is classified separately.
"""

# %%
# Two copies of the portrait represent two people: the second is mirrored and smaller, and
# has another mask.

import rich
from PIL import Image, ImageOps
from skimage.data import astronaut

from maskkit import MaskClassifier
from maskkit.augment import paint_mask

model = MaskClassifier.from_pretrained("maskkit-lite0")
portrait = astronaut()
landmarks = model.predict_faces(portrait)[0].landmarks

left = Image.fromarray(
    paint_mask(portrait, landmarks, kind="surgical", random_state=1)
)
right = Image.fromarray(
    paint_mask(portrait, landmarks, kind="cloth", random_state=4)
)
photo = Image.new("RGB", (896, 512), "#b7b0b4")
photo.paste(left, (0, 0))
photo.paste(ImageOps.mirror(right).resize((384, 384)), (512, 128))

# %%
# One call detects and classifies both. The result is a sequence of faces, largest first,
# that can be printed, counted and drawn:

result = model.predict_faces(photo)
rich.print(result)
print(result.summary())
result.save("two-masked-people.png")
