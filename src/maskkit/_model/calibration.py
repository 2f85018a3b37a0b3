"""The part of MaskClassifier that adjusts a fitted classifier on held-out images."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from maskkit._images.annotated import read_labeled_faces
from maskkit._images.load import check_images
from maskkit._labels import index_labels
from maskkit._model.decision import check_goal, choose_threshold, fit_temperature
from maskkit._model.face_density import FaceDensity
from maskkit._model.head import TransferHead
from maskkit._model.prediction import PredictionMixin
from maskkit._model.saving import NO_EVALUATIONS


class CalibrationMixin(PredictionMixin):
    """Methods that adjust probabilities, decision threshold and int8 ranges without training."""

    def calibrate(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Calibrate probabilities by temperature scaling, and learn what faces look like.

        Divides the logits by a temperature between 0.2 and 5 (Guo et al. 2017, arXiv:1706.04599), so that nine in ten
        predictions with a probability of 0.9 are correct on faces like these. Predicted classes do not change, except
        in rare cases with ``precision="auto"``, because other predictions are then recomputed in float32.

        From 200 faces on, a Gaussian density of their features is fitted, too (probabilistic principal component
        analysis, Tipping and Bishop 1999). Images that are less like these faces than 99 in 100 faces are then
        uncertain in the results of photos, with the reason ``"not_a_face"``.

        Parameters
        ----------
        X : sequence of images, or of AnnotatedPhoto
            A few hundred faces, held out from training, as in `fit`.
        y : array-like of shape (n_images,), optional
            Labels; annotated photos have those of their faces.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        ValueError
            If the head is not a `TransferHead`, lengths differ, a label is unknown, or the images are of fewer than
            two classes.
        """
        check_is_fitted(self)
        if not isinstance(self.head_, TransferHead):
            raise ValueError(
                f"calibrate works on a TransferHead, not {type(self.head_).__name__}; "
                f"use scikit-learn's CalibratedClassifierCV as the head instead."
            )
        proba, targets, features = self._predict_known(X, y)
        self._density = FaceDensity.fit(features)
        # One factor for all logits keeps their order. In the last layer, it is saved and exported with the head.
        self.head_._scale_logits(1 / fit_temperature(proba, targets))
        self._evaluations = NO_EVALUATIONS
        return self

    def quantize(self, X: Any) -> Self:
        """Quantize the backbone to int8, for ``precision="int8"``; `save` stores the result.

        After post-training quantization by NNCF, predictions are usually faster and slightly less accurate than in
        float32. `fit` quantizes by itself if `precision` is ``"int8"``.

        Parameters
        ----------
        X : sequence of images
            Images like those to be predicted. At most 300 of them, evenly spaced, calibrate the activation ranges.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        EngineError
            If NNCF is not installed, or OpenVINO cannot run the network.
        """
        check_is_fitted(self)
        self._feature_extractor().quantize(check_images(X))
        self._evaluations = NO_EVALUATIONS
        return self

    def choose_threshold(
        self, X: Any, y: ArrayLike | None = None, *, precision: float | None = None, uncertain_cost: float | None = None
    ) -> float:
        """Choose the decision threshold that reaches a target precision or minimizes the cost on held-out faces.

        Exactly one of `precision` and `uncertain_cost` must be passed.

        Parameters
        ----------
        X : sequence of images, or of AnnotatedPhoto
            Faces, held out from training, as in `fit`.
        y : array-like of shape (n_images,), optional
            Labels; annotated photos have those of their faces.
        precision : float, range 0 to 1, optional
            Target fraction of correct decisions among those that are not ``"uncertain"``.
        uncertain_cost : float, range 0 to 1, optional
            Cost of an uncertain decision if a wrong one costs 1.

        Returns
        -------
        threshold : float
            Value for the parameter of that name: ``clf.set_params(threshold=...)``.

        Raises
        ------
        ValueError
            If both or neither is passed or it is out of its range, lengths differ, a label is unknown, the images are
            of fewer than two classes, or no threshold reaches the precision.
        """
        goal = check_goal(precision, uncertain_cost)
        proba, targets, _ = self._predict_known(X, y)
        return choose_threshold(proba.max(axis=1), proba.argmax(axis=1) == targets, *goal)

    def _predict_known(
        self, X: Any, y: ArrayLike | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
        """Return probabilities, class indices and features of the faces whose label is a class of the classifier."""
        check_is_fitted(self)
        faces = read_labeled_faces(X, y, type(self).__name__)
        targets = index_labels(faces.labels, self.classes_.tolist())
        rows = np.flatnonzero(targets >= 0)
        if not len(rows):
            raise ValueError("no label in y is a class of the classifier; want images of its classes.")
        # One class says nothing about mistakes between classes. This is told before images are read.
        if len(np.unique(targets[rows])) == 1:
            label = self.classes_.tolist()[targets[rows[0]]]
            raise ValueError(
                f"y holds {len(rows)} faces of {label!r} alone; want held-out faces of two classes or more."
            )
        # A threshold and a temperature are for every precision.
        predictor = self.predictor_.in_float32()
        proba, features = zip(*predictor.iterate_batches([faces.sources[row] for row in rows]), strict=True)
        return np.concatenate(proba), targets[rows], np.concatenate(features)
