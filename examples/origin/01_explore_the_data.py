"""Explore the data.

Inspect the faces, and the number of faces per class, before training.
"""

# %%
# A data set is a folder with one folder per split, which holds one folder per class. The
# faces here are drawn, so that every example runs without data and shows no real person.
# `load_faces` reads your own folder in the same way.

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
# A model rarely predicts a class with few training images. `describe` counts the images
# per class and measures their sizes.

description = describe(faces)
rich.print(description)

# %%
# The same as a chart:

description.save_chart("classes.png")

# %%
# A collage shows random faces of each class. The original showed 75 faces on 600 x 200
# pixels: `collage(faces.train, n_columns=25, n_rows=3, size=(600, 200), captions=False)`.

collage(faces.train, n_columns=8, n_rows=4, random_state=0).save("collage.png")
