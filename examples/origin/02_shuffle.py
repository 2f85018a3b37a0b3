"""Shuffle.

Folders are read class by class. A network that is trained in that order sees a thousand
masked faces before the first unmasked one, and forgets what it has learned.
"""

# %%
# Twelve faces, sorted by class as in a folder:

from sklearn.utils import shuffle

from maskkit.datasets import collage
from maskkit.testing import make_faces

faces, labels = make_faces(12)
order = labels.argsort(kind="stable")
faces, labels = [faces[index] for index in order], labels[order]
print(*labels)

# %%
# scikit-learn shuffles faces and labels together; a seed makes the order reproducible.

faces, labels = shuffle(faces, labels, random_state=0)
print(*labels)

# %%
# Each face keeps its label:

collage((faces, labels), n_columns=6, n_rows=2).save("shuffled.png")

# %%
# This is rarely necessary: `load_faces` shuffles each split (`shuffle=False` keeps the
# order of the names), and `MaskClassifier.fit` shuffles the images in every epoch. Shuffle
# before you set aside the first images as test data.
