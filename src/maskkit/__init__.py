"""maskkit: tells, for every face in a picture, whether a mask is worn.

Importing the package imports neither torch nor scikit-learn: each public name is loaded when it is
first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskkit._batch import BatchSummary, predict_batch
    from maskkit._explain.explain import explain, explain_faces
    from maskkit._explain.explanation import Explanation, PhotoExplanation
    from maskkit._export.export import export
    from maskkit._model.classifier import MaskClassifier
    from maskkit._model.embedder import FaceEmbedder
    from maskkit._model.head import TransferHead
    from maskkit._model.results import FaceResult, PhotoResult
    from maskkit._video import Person, Watch, WatchEvent, WatchStep, watch
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
    "MaskClassifier": "_model.classifier",
    "FaceEmbedder": "_model.embedder",
    "TransferHead": "_model.head",
    "FaceResult": "_model.results",
    "PhotoResult": "_model.results",
    "evaluate": "evaluation",
    "evaluate_photos": "evaluation",
    "evaluate_robustness": "evaluation",
    "Evaluation": "evaluation",
    "Comparison": "evaluation",
    "PhotoEvaluation": "evaluation",
    "Robustness": "evaluation",
    "predict_batch": "_batch",
    "BatchSummary": "_batch",
    "explain": "_explain.explain",
    "export": "_export.export",
    "explain_faces": "_explain.explain",
    "Explanation": "_explain.explanation",
    "PhotoExplanation": "_explain.explanation",
    "watch": "_video",
    "Watch": "_video",
    "WatchStep": "_video",
    "WatchEvent": "_video",
    "Person": "_video",
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
