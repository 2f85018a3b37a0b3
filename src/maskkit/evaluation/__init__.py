"""How right a classifier is: on labelled crops and on annotated photos, each figure with its interval."""

from maskkit.evaluation._faces import Evaluation, Mistake, evaluate
from maskkit.evaluation._photos import PhotoEvaluation, evaluate_photos

__all__ = ["evaluate", "evaluate_photos", "Evaluation", "PhotoEvaluation", "Mistake"]
