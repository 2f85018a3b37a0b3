"""Inspect the layers.

This example shows which layer of a ResNet-50 transfer learning replaces.
"""

# %%
# torchvision's ResNet-50 ends in one linear layer, for the 1,000 classes of ImageNet:

from torchvision.models import resnet50

from maskkit import MaskClassifier
from maskkit.testing import make_faces

before = resnet50(weights=None)
print(before.fc)

# %%
# `MaskClassifier` keeps all other layers as its backbone and adds a head on the 2,048
# features. ImageNet weights would be downloaded once; this page is built offline, so the
# backbone starts from random weights (`weights=None`). The layers are the same.

faces, labels = make_faces(16)
model = MaskClassifier("resnet50", weights=None, image_size=32, fine_tune=False)
model.fit(faces, labels)
print(model.head_.network_)

# %%
# These are the layers of the original notebook; `predict_proba` applies the softmax. The
# number of parameters:


def count(network):
    """Count the trainable parameters."""
    return sum(values.numel() for values in network.parameters())


print(f"ResNet-50 {count(before):>10,}")
print(f"backbone  {count(model.embedder_.network_):>10,}")
print(f"head      {count(model.head_.network_):>10,}")

# %%
# The head can be configured: `MaskClassifier(head=TransferHead(hidden_units=50))`.
