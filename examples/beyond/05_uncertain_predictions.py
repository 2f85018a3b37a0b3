"""When it cannot tell.

A model may answer "uncertain" instead of guessing, if its probabilities are true.
"""

# %%
# Trained on faces of 24 pixels, asked about faces of 12:

from skimage.data import astronaut

from maskkit import MaskClassifier, evaluate
from maskkit.testing import make_faces

faces, labels = make_faces(60, size_px=24)
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
model.fit(faces, labels)

small, small_labels = make_faces(200, size_px=12, random_state=1)
before = evaluate(model, small, small_labels)
surest = model.predict_proba(small).max(axis=1)
print(f"right {before.metrics()['accuracy'].value:.3f}, sure {surest.mean():.3f}")

# %%
# It is too sure. `calibrate` mends that, with faces like those to come that it was not
# trained on.

other, other_labels = make_faces(200, size_px=12, random_state=2)
model.calibrate(other, other_labels)
after = evaluate(model, small, small_labels)
surest = model.predict_proba(small).max(axis=1)
print(f"right {after.metrics()['accuracy'].value:.3f}, sure {surest.mean():.3f}")

# %%
# The calibration error, the distance between how sure it is and how often right:

for name, evaluation in (("before", before), ("after", after)):
    error = evaluation.metrics()["ece"]
    print(f"{name:6} {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]")

# %%
# Now a threshold can be chosen for a promise: of the answers given, nineteen of twenty
# right. What is below it gets no answer.

threshold = model.choose_threshold(other, other_labels, precision=0.95)
answered = surest >= threshold
right = (model.predict(small) == small_labels)[answered]
print(f"threshold {threshold:.3f}")
print(f"answers {answered.mean():.3f}, of these right {right.mean():.3f}")

# %%
# What a threshold costs, for all of them:

after.figures()["risk_coverage"].savefig("risk-coverage.png")

# %%
# In photos the decision is then "uncertain", with its reason. Here the shipped model is
# told to say nothing about faces under 150 pixels:

shipped = MaskClassifier.from_pretrained("maskkit-lite0", min_size_px=150)
face = shipped.predict_faces(astronaut())[0]
print(face.label, f"{face.probability:.2f}", face.decision, face.reasons)
