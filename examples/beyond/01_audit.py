"""Audit.

Copies, wrong labels and tell-tale backgrounds make figures lie. Look for them before
anything is trained.
"""

# %%
# Plain drawn faces are so alike that all would count as copies, so each gets a coloured
# wall of its own. Those with a mask were taken in brighter places, as happens.

import numpy as np
import rich
from PIL import Image, ImageOps

from maskkit.datasets import audit
from maskkit.testing import make_faces

rng = np.random.default_rng(0)
drawn, labels = make_faces(80)
faces = []
for face, label in zip(drawn, labels, strict=True):
    darkest = 100 if label == "with_mask" else 0
    wall = Image.fromarray(rng.integers(darkest, 256, (4, 4, 3), dtype=np.uint8))
    picture = wall.resize((96, 96), Image.Resampling.BICUBIC)
    picture.paste(Image.fromarray(face), tuple(rng.integers(0, 32, 2)))
    faces.append(picture)

# %%
# Now spoil the set as real ones are spoilt: eight faces come twice, four of them
# mirrored, and two labels are wrong.

faces += faces[:4] + [ImageOps.mirror(face) for face in faces[4:8]]
labels = [*labels, *labels[:8]]
labels[20], labels[31] = labels[31], labels[20]

# %%
# `audit` reports, and changes nothing. It takes what `load_faces` gives, or pictures and
# labels.

found = audit((faces, labels))
rich.print(found)

# %%
# The pairs that it found, and the labels that it doubts, as pictures. A doubt is a reason
# to look, not to relabel.

found.save_pictures(".")
