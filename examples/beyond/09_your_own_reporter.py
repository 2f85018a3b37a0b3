"""Your own reporter.

A reporter is any object with a method `report`, which sends an evaluation to a file, a chat
or an experiment tracker.
"""

# %%
# This one appends one line per run to a CSV file:

from pathlib import Path

from maskkit import MaskClassifier, evaluate
from maskkit.testing import check_reporter, make_faces


class CsvReporter:
    """Appends the first metric and its interval to a file."""

    def __init__(self, path):
        self.path = Path(path)

    def report(self, evaluation):
        """Write the line and return the path."""
        # The kinds of evaluations have different metrics; of crops, accuracy comes first.
        name, one = next(iter(evaluation.metrics().items()))
        is_new = not self.path.exists()
        with self.path.open("a") as file:
            if is_new:
                file.write("metric,value,low,high,faces\n")
            file.write(
                f"{name},{one.value:.3f},{one.low:.3f},{one.high:.3f},{one.n}\n"
            )
        return self.path


check_reporter(CsvReporter("check.csv"))

# %%
# Two runs, on sharp and on small faces. Reporters are passed by name or as objects:

faces, labels = make_faces(40)
model = MaskClassifier(
    "efficientnet_lite0", image_size=64, fine_tune=False, random_state=0
)
model.fit(faces, labels)

for size_px in (64, 10):
    new_faces, new_labels = make_faces(60, size_px=size_px, random_state=1)
    reporters = [f"json:{size_px}px.json", CsvReporter("runs.csv")]
    evaluate(model, new_faces, new_labels, reporters=reporters)
print(Path("runs.csv").read_text())
