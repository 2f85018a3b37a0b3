"""Audit.

Search for duplicates, label errors and shortcuts, which make results unreliable, before
training a model.
"""

# %%
# Drawn faces are so similar that all would count as duplicates, so each gets its own
# colored background. Backgrounds of masked faces are brighter, which is a shortcut.

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
# Add typical defects: eight faces are duplicated, four of them mirrored, and two labels
# are wrong.

faces += faces[:4] + [ImageOps.mirror(face) for face in faces[4:8]]
labels = [*labels, *labels[:8]]
labels[20], labels[31] = labels[31], labels[20]

# %%
# `audit` reports and changes nothing. It takes the result of `load_faces`, or pictures and
# labels.

found = audit((faces, labels))
rich.print(found)

# %%
# The duplicates and the suspected label errors as pictures. Inspect a suspected label
# before you change it.

found.save_pictures(".")
