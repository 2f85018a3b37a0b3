"""Cross-validate without leaks.

If duplicates of a picture are in different folds, the model is tested on pictures that it
has memorized.
"""

# %%
# Forty pictures, each in three versions: original, mirrored, and brighter. The labels are
# random, so there is nothing to learn, and the true accuracy is 0.5.

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from maskkit import MaskClassifier
from maskkit.datasets import audit

rng = np.random.default_rng(0)
walls = rng.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
pictures = [
    Image.fromarray(wall).resize((96, 96), Image.Resampling.BICUBIC)
    for wall in walls
]
pictures += [ImageOps.mirror(picture) for picture in pictures]
pictures += [
    ImageEnhance.Brightness(picture).enhance(1.2) for picture in pictures[:40]
]
labels = np.tile(rng.permutation(["unmasked", "masked"] * 20), 3)

# %%
# `audit` assigns the same group number to duplicates:

groups = audit((pictures, labels)).groups
print(len(pictures), "pictures,", len(np.unique(groups)), "groups")

# %%
# Five random folds, and five folds that keep groups together:

model = MaskClassifier(
    "efficientnet_lite0",
    image_size=64,
    head=LogisticRegression(max_iter=1000),
    random_state=0,
)
folds = KFold(5, shuffle=True, random_state=0)
leaking = cross_val_score(model, pictures, labels, cv=folds)
grouped = cross_val_score(model, pictures, labels, cv=GroupKFold(5), groups=groups)
print(f"with leaks    {leaking.mean():.3f}")
print(f"without leaks {grouped.mean():.3f}")
