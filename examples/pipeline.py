"""Features from a frozen backbone, and whatever scikit-learn has after them."""

from faces import read_faces
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from maskkit import FaceEmbedder

(images, labels), (new_images, new_labels) = read_faces()

pipeline = make_pipeline(
    FaceEmbedder("efficientnet_lite0"), StandardScaler(), LogisticRegression(C=0.01)
)
pipeline.fit(images, labels)
print(
    f"accuracy on {len(new_labels)} new faces: {pipeline.score(new_images, new_labels):.3f}"
)
