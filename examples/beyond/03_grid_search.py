"""Grid search.

Every parameter can be searched for, those of the head too, with the tools that
scikit-learn has.
"""

# %%
# The head's width and dropout, three folds each:

from sklearn.model_selection import GridSearchCV

from maskkit import MaskClassifier
from maskkit.testing import make_faces

faces, labels = make_faces(60, size_px=12)
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
grid = {"head__hidden_units": [30, 300], "head__dropout": [0.2, 0.5]}
search = GridSearchCV(model, grid, cv=3).fit(faces, labels)

# %%
# The backbone is frozen, so each face went through it once; the twelve fits took their
# features from memory.

scores = search.cv_results_["mean_test_score"]
for params, score in zip(search.cv_results_["params"], scores, strict=True):
    print(f"{score:.3f} {params}")

# %%
# The best has been fitted on all faces and judges new ones:

new_faces, new_labels = make_faces(60, size_px=12, random_state=1)
print(search.best_params_, f"{search.score(new_faces, new_labels):.3f}")
