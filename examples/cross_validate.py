"""Cross-validate, then search for the width of the head."""

from faces import read_faces
from sklearn.model_selection import GridSearchCV, cross_val_score

from maskkit import MaskClassifier

(images, labels), (new_images, new_labels) = read_faces()
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)

scores = cross_val_score(model, images, labels, cv=5)
print(
    f"accuracy {scores.mean():.3f}, folds from {scores.min():.3f} to {scores.max():.3f}"
)

search = GridSearchCV(model, {"head__hidden_units": [30, 300]}, cv=3).fit(
    images, labels
)
print(
    f"best: {search.best_params_}, on new faces {search.score(new_images, new_labels):.3f}"
)
