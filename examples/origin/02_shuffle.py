"""Shuffle.

Folders are read class by class. A network that learns in that order sees a thousand
masks and not one bare face, and forgets again what it learnt.
"""

# %%
# Twelve faces, sorted as a folder gives them:

from sklearn.utils import shuffle

from maskkit.datasets import collage
from maskkit.testing import make_faces

faces, labels = make_faces(12)
order = labels.argsort(kind="stable")
faces, labels = [faces[index] for index in order], labels[order]
print(*labels)

# %%
# scikit-learn shuffles faces and labels together; with a seed, each time alike.

faces, labels = shuffle(faces, labels, random_state=0)
print(*labels)

# %%
# Each face has kept its label:

collage((faces, labels), n_columns=6, n_rows=2).save("shuffled.png")

# %%
# You rarely have to: `load_faces` shuffles each split (`shuffle=False` keeps the order
# of the names), and `MaskClassifier.fit` draws a new order for every epoch. Do shuffle
# before you put "the first 800" aside as a test.
