"""Your own detector.

Any object with a method `detect` finds the faces; it derives from nothing.
"""

# %%
# A camera at a door always sees the face in the same place, and needs no network to find
# it:

import numpy as np
from skimage.data import astronaut

from maskkit import MaskClassifier
from maskkit.detectors import Faces
from maskkit.testing import check_detector


class DoorDetector:
    """Takes a fixed part of the picture for a face."""

    def detect(self, image):
        """Give one box, left, top, right, bottom, and how sure it is."""
        height, width = image.shape[:2]
        box = [0.3 * width, 0.06 * height, 0.58 * width, 0.4 * height]
        return Faces(
            np.array([box], dtype=np.float32), np.ones(1, dtype=np.float32)
        )


# %%
# `check_detector` says whether it keeps the contract, and how it breaks it:

check_detector(DoorDetector())

# %%
# And it is used like those that maskkit has:

model = MaskClassifier.from_pretrained("maskkit-lite0", detector=DoorDetector())
result = model.predict_faces(astronaut())
print(result.detector, result.summary())
result.save("door.png")

# %%
# `examples/plugin` is a package that gives maskkit a detector by name.
