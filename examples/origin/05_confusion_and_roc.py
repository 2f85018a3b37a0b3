"""Confusion matrix, ROC curve and metrics.

A single accuracy hides which mistakes a model makes, and how precise it is itself.
"""

# %%
# The model is trained on sharp faces. Half of the faces for evaluation are only 12 pixels
# wide, so that it makes mistakes.

from maskkit import MaskClassifier, evaluate
from maskkit.testing import make_faces

faces, labels = make_faces(60)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
model.fit(faces, labels)

clear, clear_labels = make_faces(100, random_state=1)
small, small_labels = make_faces(100, size_px=12, random_state=2)
evaluation = evaluate(model, clear + small, [*clear_labels, *small_labels])

# %%
# Accuracy, F1, precision and recall; the last three are means over both classes. Each has
# a 95 % interval: with 200 faces, the second digit is already uncertain.

metrics = evaluation.metrics()
for name in ("accuracy", "f1", "precision", "recall"):
    estimate = metrics[name]
    print(
        f"{name:10} {estimate.value:.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]"
    )

# %%
# The confusion matrix: rows are true classes, columns are predicted classes.

figures = evaluation.figures()
figures["confusion_matrix"].savefig("confusion-matrix.png")

# %%
# The ROC curve: for every threshold, the share of unmasked faces that are recognized
# against the share of masked faces that are predicted as unmasked.

figures["roc"].savefig("roc.png")

# %%
# Accuracy by face size shows where the mistakes are:

for group in evaluation.groups:
    if group.slice == "size":
        print(f"{group.name:7} accuracy {group.accuracy.value:.3f}")

# %%
# `evaluate(..., reporters="console")` prints all of this, `"plots:folder"` draws it.
