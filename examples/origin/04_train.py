"""Train.

The original recipe: ResNet-50, a new head, batches of 16, two epochs.
"""

# %%
# Faces for training, and others for evaluation:

import tempfile

from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(320)
new_faces, new_labels = make_faces(80, random_state=1)

# %%
# The original started from ImageNet weights. This page is built offline, so the backbone
# keeps random weights (`weights=None`), and only the head is trained. Without the arguments
# `weights` and `image_size`, training starts from ImageNet weights at full size.
# `fine_tune=True` trains every layer, which is the default from 1,000 faces on.

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
# Loss and accuracy per epoch:

for record in model.history_:
    print(f"loss {record['loss']:.3f}, accuracy {record['accuracy']:.3f}")

# %%
# Accuracy on the faces that it has not seen:

print(f"accuracy {model.score(new_faces, new_labels):.3f}")

# %%
# Random features are enough for these drawings; use ImageNet weights for real faces. The
# model can be saved and loaded; its predictions stay the same:

folder = model.save(tempfile.mkdtemp() + "/model")
loaded = MaskClassifier.load(folder)
print((loaded.predict(new_faces) == model.predict(new_faces)).all())
