"""How right a classifier is: on labelled faces and on annotated photos, each figure with its interval."""

from maskkit.evaluation._comparison import Comparison
from maskkit.evaluation._evaluate import evaluate
from maskkit.evaluation._evaluate_robustness import evaluate_robustness
from maskkit.evaluation._faces import Evaluation, Mistake
from maskkit.evaluation._photos import PhotoEvaluation, evaluate_photos
from maskkit.evaluation._robustness import Robustness
from maskkit.evaluation._slices import Group
from maskkit.evaluation._trust import Reliability, RiskCoverage

__all__ = [
    "evaluate",
    "evaluate_photos",
    "evaluate_robustness",
    "Evaluation",
    "Comparison",
    "PhotoEvaluation",
    "Robustness",
    "Mistake",
    "Group",
    "Reliability",
    "RiskCoverage",
]
