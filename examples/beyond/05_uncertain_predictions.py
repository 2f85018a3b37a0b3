"""Uncertain predictions.

With calibrated probabilities, a model can return "uncertain" instead of guessing.
"""

# %%
# Train on faces of 24 pixels, and predict on faces of 12 pixels:

from skimage.data import astronaut

from maskkit import MaskClassifier, evaluate
from maskkit.testing import make_faces

faces, labels = make_faces(60, size_px=24)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
model.fit(faces, labels)

small, small_labels = make_faces(200, size_px=12, random_state=1)
before = evaluate(model, small, small_labels)
confidence = model.predict_proba(small).max(axis=1)
accuracy = before.metrics()["accuracy"].value
print(f"accuracy {accuracy:.3f}, confidence {confidence.mean():.3f}")

# %%
# The model is overconfident. `calibrate` corrects this with held-out faces like those that
# it will see.

other, other_labels = make_faces(200, size_px=12, random_state=2)
model.calibrate(other, other_labels)
after = evaluate(model, small, small_labels)
confidence = model.predict_proba(small).max(axis=1)
accuracy = after.metrics()["accuracy"].value
print(f"accuracy {accuracy:.3f}, confidence {confidence.mean():.3f}")

# %%
# The calibration error is the mean distance between confidence and accuracy:

for name, evaluation in (("before", before), ("after", after)):
    error = evaluation.metrics()["ece"]
    print(f"{name:6} {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]")

# %%
# Now choose a threshold at which 95 % of the decisions are correct. Faces below it are
# uncertain.

threshold = model.choose_threshold(other, other_labels, precision=0.95)
decided = confidence >= threshold
correct = (model.predict(small) == small_labels)[decided]
print(f"threshold {threshold:.3f}")
print(f"decided {decided.mean():.3f}, precision {correct.mean():.3f}")

# %%
# Error rate against the share of decided faces, for all thresholds:

after.figures()["risk_coverage"].savefig("risk-coverage.png")

# %%
# In photos, the decision is "uncertain", with a reason. Here the bundled model leaves faces
# under 150 pixels undecided:

bundled = MaskClassifier.from_pretrained("maskkit-lite0", min_size_px=150)
face = bundled.predict_faces(astronaut())[0]
print(face.label, f"{face.probability:.2f}", face.decision, face.reasons)
