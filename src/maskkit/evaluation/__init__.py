"""Evaluation of classifiers, on labeled faces and on annotated photos, with 95 % intervals."""

from maskkit.evaluation._calibration import Reliability, RiskCoverage
from maskkit.evaluation._evaluate import Comparison, evaluate
from maskkit.evaluation._evaluation import Evaluation, Mistake
from maskkit.evaluation._photos import PhotoEvaluation, evaluate_photos
from maskkit.evaluation._robustness import Robustness, evaluate_robustness
from maskkit.evaluation._slices import Group

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
