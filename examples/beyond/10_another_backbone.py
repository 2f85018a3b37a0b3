"""Another backbone.

By name, from timm, or of your own: all the rest stays as it is.
"""

# %%
# `efficientnet_lite0` has ImageNet's weights from pip. Of timm's networks, a thousand and
# more, the names do; here without weights, since this page is built without a network.

from torch import nn

from maskkit import MaskClassifier
from maskkit.testing import check_backbone, make_faces


class SmallBackbone:
    """Two convolutions, and what maskkit has to know of them."""

    image_size = 48
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    n_features = 32
    weights_info = "none: trained from random values"

    def build(self, weights):
        """Make the network: images in, features out."""
        return nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


check_backbone(SmallBackbone())

# %%
# The same faces, three backbones. The last is trained with its head, the others are
# frozen.

faces, labels = make_faces(80)
new_faces, new_labels = make_faces(80, random_state=1)
lite = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
resnet = MaskClassifier(
    "timm:resnet18", weights=None, image_size=64, random_state=0
)
small = MaskClassifier(
    SmallBackbone(),
    weights=None,
    fine_tune=True,
    epochs=10,
    learning_rate=0.003,
    image_size=48,
    augment=None,
    random_state=0,
)
for model in (lite, resnet, small):
    model.fit(faces, labels)
    print(f"{model.model_name_:35} {model.score(new_faces, new_labels):.3f}")
