"""Train.

The origin's recipe: ResNet-50, a new head, batches of 16, two rounds.
"""

# %%
# Faces to train on, and others to see whether it worked:

import tempfile

from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(320)
new_faces, new_labels = make_faces(80, random_state=1)

# %%
# The origin began with ImageNet's weights. This page is built without a network, so the
# backbone keeps random values (`weights=None`), and only the head learns. Leave both
# `weights` and `image_size` out, and you have the origin's start at its full size;
# `fine_tune=True` then trains every layer, which is the default from 1,000 faces on.

model = MaskClassifier(
    "resnet50",
    weights=None,
    fine_tune=False,
    batch_size=16,
    epochs=2,
    image_size=64,
    random_state=0,
)
model.fit(faces, labels)

# %%
# What happened in each round:

for record in model.history_:
    print(f"loss {record['loss']:.3f}, accuracy {record['accuracy']:.3f}")

# %%
# On the faces that it has not seen:

print(f"accuracy {model.score(new_faces, new_labels):.3f}")

# %%
# Random features tell these drawings apart; for faces of people take ImageNet's. Saved
# and loaded again, the model says the same:

folder = model.save(tempfile.mkdtemp() + "/model")
again = MaskClassifier.load(folder)
print((again.predict(new_faces) == model.predict(new_faces)).all())
