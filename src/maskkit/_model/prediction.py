"""The part of MaskClassifier that predicts with its fitted stages, which follow changes of parameters."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from maskkit import _plugins
from maskkit._images.load import ImageSource, iterate_images
from maskkit._model.decision import DecisionRule
from maskkit._model.embedder import FaceEmbedder, ImageEstimator
from maskkit._model.face_density import FaceDensity
from maskkit._model.features import FeatureExtractor
from maskkit._model.params import FitRecord, check_params
from maskkit._model.predictor import FacePredictor
from maskkit._model.results import PhotoResult
from maskkit._model.saving import NO_EVALUATIONS, PREDICTION_PARAMETERS
from maskkit.detectors._base import Detector
from maskkit.detectors._heatmap import on_device
from maskkit.engines._devices import resolve_device


class PredictionMixin(ImageEstimator):
    """The stages of a fitted classifier, alone and together, with its current parameters, and their predictions."""

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
        if self.device != "auto":
            resolve_device(self.device)  # A detector that fails on an unknown one would be blamed for it.
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

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict class probabilities for face crops.

        Parameters
        ----------
        X : sequence of images
            One face per image.

        Returns
        -------
        proba : ndarray of shape (n_images, n_classes), float64
            Rows sum to 1; columns in the order of `classes_`.
        """
        return self.predictor_.predict_proba(iterate_images(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the classes of face crops.

        Parameters
        ----------
        X : sequence of images
            One face per image.

        Returns
        -------
        y : ndarray of shape (n_images,)
            The most probable class of each image.
        """
        proba = self.predict_proba(X)  # Raises NotFittedError where there are no classes yet.
        return self.classes_[proba.argmax(axis=1)]

    def predict_faces(
        self, photo: ImageSource, *, max_faces: int | None = None, max_px: int | None = None
    ) -> PhotoResult:
        """Detect and classify the faces of one photo.

        Parameters
        ----------
        photo : image
            A photo with any number of faces.
        max_faces : int, optional
            Largest number of faces to classify, the largest ones. The boxes of the others are in `left_out` of the
            result, and their number in its `notes`.
        max_px : int, optional
            Largest number of pixels of a photo that is read. By default twice `PIL.Image.MAX_IMAGE_PIXELS`, that is
            178,956,970, with an `ImageWarning` above the half of that.

        Returns
        -------
        result : PhotoResult
            The faces, largest first; empty if there is none.

        Raises
        ------
        ImageError
            If the photo cannot be read.
        """
        return self.predictor_.limit_faces(max_faces).read_photo(photo, max_px=max_px)

    def predict_photos(
        self,
        photos: Iterable[ImageSource],
        *,
        crops: bool = False,
        max_faces: int | None = None,
        on_error: Literal["report", "skip", "raise"] = "report",
        max_px: int | None = None,
    ) -> Iterator[PhotoResult]:
        """Detect and classify the faces of many photos, as a stream.

        The faces of several photos share a batch. Memory use is that of a few photos, however many there are.

        Parameters
        ----------
        photos : iterable of images
            May be a generator, and endless.
        crops : bool, default=False
            Whether each image is a crop of one face, classified without detection. Its box is the whole image.
        max_faces : int, optional
            Largest number of faces per photo, as in `predict_faces`.
        on_error : {"report", "skip", "raise"}, default="report"
            What happens to a photo that cannot be read. ``"report"``: its result has the status ``"unreadable"``.
            ``"skip"``: it is left out, with a `SkippedImageWarning` that names it. ``"raise"``: `ImageError`.
        max_px : int, optional
            Largest number of pixels of a photo, as in `predict_faces`.

        Yields
        ------
        result : PhotoResult
            One result per photo, in order.
        """
        predictor = self.predictor_.limit_faces(max_faces)
        predictor = predictor.as_crops() if crops else predictor
        if on_error not in ("report", "skip", "raise"):
            raise ValueError(f"on_error={on_error!r} is unknown; use 'report', 'skip' or 'raise'.")
        return predictor.read_photos(iterate_images(photos), on_error=on_error, max_px=max_px)
