"""The part of MaskClassifier that lets its fitted stages follow changes of parameters."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from maskkit import _plugins
from maskkit._model.decision import DecisionRule
from maskkit._model.embedder import DEFAULT_BATCH_SIZE, FaceEmbedder, ImageEstimator
from maskkit._model.face_density import FaceDensity
from maskkit._model.features import FeatureExtractor
from maskkit._model.params import FitRecord, check_params
from maskkit._model.predictor import FacePredictor
from maskkit._model.saving import NO_EVALUATIONS, PREDICTION_PARAMETERS
from maskkit.detectors._base import Detector
from maskkit.detectors._heatmap import on_device


class StagesMixin(ImageEstimator):
    """The stages of a fitted classifier, alone and together, with its current parameters."""

    detector: str | Detector
    device: str
    batch_size: int | None
    classes_: NDArray[Any]
    head_: Any
    _embedder: FaceEmbedder

    def _finish_fit(self, model_name: str, trained_with: Mapping[str, Any] | None = None) -> None:
        """Record that everything is fitted, and with which parameters; `trained_with` are those of a loaded model."""
        self._fit_record = FitRecord(self, PREDICTION_PARAMETERS)
        self._trained_with = dict(trained_with or {})
        self._evaluations = NO_EVALUATIONS
        self._density: FaceDensity | None = None
        self.model_name_ = model_name

    @property
    def detector_(self) -> Detector:
        """The detector instance for the current parameter `detector`."""
        made_for, detector = self._made_detector
        if made_for is not self.detector and not (isinstance(made_for, str) and made_for == self.detector):
            self.detector_ = detector = _plugins.resolve("detectors", self.detector)
        return detector

    @detector_.setter
    def detector_(self, detector: Detector) -> None:
        self._made_detector: tuple[Any, Detector] = self.detector, detector

    @property
    def embedder_(self) -> FaceEmbedder:
        """The first stage, with the current parameters that concern prediction."""
        params = self._embedder.get_params(deep=False)
        new = {name: getattr(self, name) for name in PREDICTION_PARAMETERS if name in params}
        if new["batch_size"] is None:
            new["batch_size"] = DEFAULT_BATCH_SIZE
        if any(value is not params[name] for name, value in new.items()):
            self._embedder.set_params(**new)
        return self._embedder

    def _feature_extractor(self) -> FeatureExtractor:
        """Return the extractor for the current parameters: the one seam, which tests may replace."""
        return self.embedder_._extractor()

    @property
    def predictor_(self) -> FacePredictor:
        """The fitted object that predicts with the current parameters."""
        check_is_fitted(self)
        params = check_params(self)
        self._fit_record.check_unchanged(self)
        return FacePredictor(
            on_device(self.detector_, self.device),
            self._feature_extractor(),
            self.head_,
            self.classes_,
            DecisionRule(params["threshold"], params["min_size_px"]),
            model_name=self.model_name_,
            detector_name=_plugins.display_name(self.detector),
            density=self._density,
        )
