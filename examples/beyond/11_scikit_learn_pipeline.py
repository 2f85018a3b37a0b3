"""A scikit-learn pipeline.

`FaceEmbedder` is a transformer from images to features, which any scikit-learn estimator
can follow.
"""

# %%
# Standardize the features and fit a logistic regression:

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
# Print scikit-learn's report:

new_faces, new_labels = make_faces(60, size_px=16, random_state=1)
print(classification_report(new_labels, pipeline.predict(new_faces)))

# %%
# This pipeline takes crops only. As the head of a `MaskClassifier`, the same classifier
# also works on photos:

head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
model = MaskClassifier("efficientnet_lite0", image_size=64, head=head)
model.fit(faces, labels)
print(f"accuracy {model.score(new_faces, new_labels):.3f}")
