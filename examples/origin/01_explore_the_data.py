"""Explore the data.

Look before you train: at the faces, and at how many there are of each class.
"""

# %%
# A data set is a folder with one folder a split and, in it, one folder a class. The
# faces here are drawn, so that every example runs by itself and shows nobody;
# `load_faces` reads your own folder just the same.

from pathlib import Path

import rich
from PIL import Image

from maskkit.datasets import collage, describe, load_faces
from maskkit.testing import make_faces

images, labels = make_faces(160)
for index, (image, label) in enumerate(zip(images, labels, strict=True)):
    folder = Path("faces") / ("Train" if index < 120 else "Validation") / label
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{index}.png")

faces = load_faces("faces")
print(faces.train.paths[0], faces.train.labels[0])

# %%
# How many of each class? A class with few faces is one that a model will rarely say.
# `describe` counts, and measures the images.

description = describe(faces)
rich.print(description)

# %%
# The same as a chart:

description.save_chart("classes.png")

# %%
# And a collage: as many faces of each class as there is room for.

collage(faces.train, n_columns=8, n_rows=4, random_state=0).save("collage.png")
