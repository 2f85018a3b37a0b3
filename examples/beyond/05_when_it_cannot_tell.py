"""When it cannot tell.

A model may answer "uncertain" instead of guessing, if its probabilities are true.
"""

# %%
# Trained on clear faces, asked about faces of 12 pixels:

from skimage.data import astronaut

from maskkit import MaskClassifier, evaluate
from maskkit.testing import make_faces

faces, labels = make_faces(60)
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
model.fit(faces, labels)

small, small_labels = make_faces(200, size_px=12, random_state=1)
before = evaluate(model, small, small_labels)
print(f"right in {before.metrics()['accuracy'].value:.2f} of all cases, ", end="")
print(f"sure by {model.predict_proba(small).max(axis=1).mean():.2f}")

# %%
# It is far too sure. `calibrate` mends that, with faces like those to come that it was
# not trained on. No label changes.

other, other_labels = make_faces(200, size_px=12, random_state=2)
model.calibrate(other, other_labels)
after = evaluate(model, small, small_labels)
print(f"sure by {model.predict_proba(small).max(axis=1).mean():.2f}")

# %%
# Before and after: the closer to the diagonal, the truer.

before.figures()["reliability"].savefig("before.png")
after.figures()["reliability"].savefig("after.png")

# %%
# Now a threshold can keep a promise: nine of ten answers right. What is below it gets
# no answer.

threshold = model.choose_threshold(other, other_labels, precision=0.9)
proba = model.predict_proba(small)
answered = proba.max(axis=1) >= threshold
right = model.predict(small) == small_labels
print(
    f"threshold {threshold:.2f}: answers {answered.mean():.2f} of the faces, ",
    end="",
)
print(f"of these right {right[answered].mean():.2f}")

# %%
# In photos the decision is then "uncertain", with its reason. Here the shipped model is
# told to say nothing about faces under 150 pixels:

shipped = MaskClassifier.from_pretrained("maskkit-lite0", min_size_px=150)
face = shipped.predict_faces(astronaut())[0]
print(face.label, f"{face.probability:.2f}", face.decision, face.reasons)
