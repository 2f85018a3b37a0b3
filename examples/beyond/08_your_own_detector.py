"""Your own detector.

A detector is any object with a method `detect`; no base class is needed.
"""

# %%
# A camera at a door always sees the face at the same position, so no network is needed:

import numpy as np
from skimage.data import astronaut

from maskkit import MaskClassifier
from maskkit.detectors import Faces
from maskkit.testing import check_detector


class DoorDetector:
    """Detects one face at a fixed position."""

    def detect(self, image):
        """Return one box (left, top, right, bottom) and its score."""
        height, width = image.shape[:2]
        box = [0.3 * width, 0.06 * height, 0.58 * width, 0.4 * height]
        return Faces(
            np.array([box], dtype=np.float32), np.ones(1, dtype=np.float32)
        )


# %%
# `check_detector` checks the contract, and reports what violates it:

check_detector(DoorDetector())

# %%
# Use it like a built-in detector:

model = MaskClassifier.from_pretrained("maskkit-lite0", detector=DoorDetector())
result = model.predict_faces(astronaut())
print(result.detector, result.summary())
result.save("door.png")

# %%
# `examples/plugin` is a package that adds a detector by name.
