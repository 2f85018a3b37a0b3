from ._batch.predict import BatchSummary as BatchSummary, predict_batch as predict_batch
from ._explain.explain import explain as explain, explain_faces as explain_faces
from ._explain.explanation import Explanation as Explanation, PhotoExplanation as PhotoExplanation
from ._export.export import export as export
from ._model.classifier import MaskClassifier as MaskClassifier
from ._model.embedder import FaceEmbedder as FaceEmbedder
from ._model.head import TransferHead as TransferHead
from ._model.learning_rate import find_learning_rate as find_learning_rate
from ._model.results import FaceResult as FaceResult, PhotoResult as PhotoResult
from ._training.rate_sweep import LearningRates as LearningRates
from ._video import Person as Person, Watch as Watch, WatchEvent as WatchEvent, WatchStep as WatchStep, watch as watch
from .evaluation import (
    Comparison as Comparison,
    Evaluation as Evaluation,
    PhotoEvaluation as PhotoEvaluation,
    Robustness as Robustness,
    evaluate as evaluate,
    evaluate_photos as evaluate_photos,
    evaluate_robustness as evaluate_robustness,
)

__version__: str
