"""A scikit-learn pipeline.

The backbone alone is a transformer: images in, features out, and after it whatever
scikit-learn has.
"""

# %%
# Features, standardised, into a logistic regression:

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from maskkit import FaceEmbedder, MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(60)
embedder = FaceEmbedder("efficientnet_lite0", image_size=64)
pipeline = make_pipeline(embedder, StandardScaler(), LogisticRegression(C=0.01))
pipeline.fit(faces, labels)

# %%
# scikit-learn's own report:

new_faces, new_labels = make_faces(60, size_px=16, random_state=1)
print(classification_report(new_labels, pipeline.predict(new_faces)))

# %%
# A pipeline knows crops alone. As the head of a `MaskClassifier` the same classifier
# judges photos too:

head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
model = MaskClassifier("efficientnet_lite0", image_size=64, head=head)
model.fit(faces, labels)
print(f"accuracy {model.score(new_faces, new_labels):.3f}")
