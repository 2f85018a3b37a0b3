"""Find the faces in a photo and tell who wears a mask; draw it, blurred and not."""

import sys
import tempfile
from pathlib import Path

from skimage.data import astronaut

from maskkit import MaskClassifier

# Without an argument: NASA's portrait of Eileen Collins, in the public domain.
photo = sys.argv[1] if len(sys.argv) > 1 else astronaut()

model = MaskClassifier.from_pretrained("maskkit-lite0")
result = model.predict_faces(photo)

print(result)
for face in result:
    print(f"  {face.label} {face.probability:.2f}, {face.size_px} px at {face.box}")

folder = Path(tempfile.mkdtemp())
print("written:", result.save(folder / "drawn.png"), result.save(folder / "blurred.png", blur=True))
