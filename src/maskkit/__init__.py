"""maskkit: tells, for every face in a picture, whether a mask is worn.

Importing the package imports neither torch nor scikit-learn: each public name is loaded when it is
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskkit._batch import BatchSummary, predict_batch
    from maskkit._classifier import MaskClassifier
    from maskkit._embedder import FaceEmbedder
    from maskkit._explain import explain, explain_faces
    from maskkit._explanation import Explanation, PhotoExplanation
    from maskkit._export import export
    from maskkit._head import TransferHead
    from maskkit._results import FaceResult, PhotoResult
    from maskkit._watch import Person, Watch, WatchEvent, WatchStep, watch
    from maskkit.evaluation import (
        Comparison,
        Evaluation,
        PhotoEvaluation,
        Robustness,
        evaluate,
        evaluate_photos,
        evaluate_robustness,
    )

_HOMES = {
    "MaskClassifier": "_classifier",
    "FaceEmbedder": "_embedder",
    "TransferHead": "_head",
    "FaceResult": "_results",
    "PhotoResult": "_results",
    "evaluate": "evaluation",
    "evaluate_photos": "evaluation",
    "evaluate_robustness": "evaluation",
    "Evaluation": "evaluation",
    "Comparison": "evaluation",
    "PhotoEvaluation": "evaluation",
    "Robustness": "evaluation",
    "predict_batch": "_batch",
    "BatchSummary": "_batch",
    "explain": "_explain",
    "export": "_export",
    "explain_faces": "_explain",
    "Explanation": "_explanation",
    "PhotoExplanation": "_explanation",
    "watch": "_watch",
    "Watch": "_watch",
    "WatchStep": "_watch",
    "WatchEvent": "_watch",
    "Person": "_watch",
}

__all__ = [
    "MaskClassifier",
    "FaceEmbedder",
    "TransferHead",
    "FaceResult",
    "PhotoResult",
    "evaluate",
    "evaluate_photos",
    "evaluate_robustness",
    "Evaluation",
    "Comparison",
    "PhotoEvaluation",
    "Robustness",
    "predict_batch",
    "BatchSummary",
    "explain",
    "explain_faces",
    "export",
    "Explanation",
    "PhotoExplanation",
    "watch",
    "Watch",
    "WatchStep",
    "WatchEvent",
    "Person",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"maskkit.{_HOMES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("maskkit")
    raise AttributeError(f"module 'maskkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
