"""Confusion matrix, ROC curve and figures.

How right is it? One number hides which mistakes it makes, and how far the number can be
trusted.
"""

# %%
# A model that has seen clear faces, and new ones to judge it by. Half of these were
# taken from afar, 12 pixels wide, so that there is something to get wrong.

from maskkit import MaskClassifier, evaluate
from maskkit.testing import make_faces

faces, labels = make_faces(60)
model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0)
model.fit(faces, labels)

clear, clear_labels = make_faces(100, random_state=1)
small, small_labels = make_faces(100, size_px=12, random_state=2)
evaluation = evaluate(model, clear + small, [*clear_labels, *small_labels])

# %%
# Accuracy, F1, precision and recall, the last three as means over both classes. Each has
# its 95 % interval: with 200 faces the second digit is already uncertain.

metrics = evaluation.metrics()
for name in ("accuracy", "f1", "precision", "recall"):
    figure = metrics[name]
    print(f"{name:10} {figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]")

# %%
# The confusion matrix: rows are what the faces are, columns what the model said.

figures = evaluation.figures()
figures["confusion_matrix"].savefig("confusion-matrix.png")

# %%
# The ROC curve: for every threshold, what share of the bare faces is found, against what
# share of the masked ones is taken for bare.

figures["roc"].savefig("roc.png")

# %%
# And where it goes wrong, which no figure above says:

for group in evaluation.groups:
    if group.slice == "size":
        print(f"{group.name:7} accuracy {group.accuracy.value:.3f}")

# %%
# `evaluate(..., reporters="console")` prints all of it at once, `"plots:folder"` draws it.
