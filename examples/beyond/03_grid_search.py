"""Grid search.

Search over any parameter, including those of the head, with scikit-learn.
"""

# %%
# Search over the width and dropout of the head, with three folds:

from sklearn.model_selection import GridSearchCV

from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(60, size_px=12)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
grid = {"head__hidden_units": [30, 300], "head__dropout": [0.2, 0.5]}
search = GridSearchCV(model, grid, cv=3).fit(faces, labels)

# %%
# The backbone is frozen, so the features of each face are computed once; the twelve fits
# use cached features.

scores = search.cv_results_["mean_test_score"]
for params, score in zip(search.cv_results_["params"], scores, strict=True):
    print(f"{score:.3f} {params}")

# %%
# The best model is refitted on all faces. Evaluate it on new ones:

new_faces, new_labels = make_faces(60, size_px=12, random_state=1)
print(search.best_params_, f"{search.score(new_faces, new_labels):.3f}")
