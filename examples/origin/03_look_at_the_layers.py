"""Look at the layers.

What transfer learning takes away from a ResNet-50, and what it puts in its place.
"""

# %%
# torchvision's ResNet-50 ends in one linear layer, for the 1,000 classes of ImageNet:

from torchvision.models import resnet50

from maskkit import MaskClassifier
from maskkit.testing import make_faces

before = resnet50(weights=None)
print(before.fc)

# %%
# `MaskClassifier` keeps all but that layer as its backbone, and puts a head on the 2,048
# features. ImageNet's weights would be downloaded once; this page is built without a
# network, so the backbone starts from random values (`weights=None`). The layers are
# the same.

faces, labels = make_faces(16)
model = MaskClassifier("resnet50", weights=None, image_size=32, random_state=0)
model.fit(faces, labels)
print(model.head_.network_)

# %%
# These are the origin's layers; its last, the softmax, is taken in `predict_proba`. How
# many numbers they hold:


def count(network):
    """Count the numbers that training may change."""
    return sum(values.numel() for values in network.parameters())


print(f"ResNet-50 {count(before):>10,}")
print(f"backbone  {count(model.embedder_.network_):>10,}")
print(f"head      {count(model.head_.network_):>10,}")

# %%
# Any of it is a parameter: `MaskClassifier(head=TransferHead(hidden_units=50))`.
