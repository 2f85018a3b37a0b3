"""MaskClassifier: the only file that knows the whole flow and scikit-learn's contract."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from maskkit import _plugins, _storage
from maskkit._augment import augment_face
from maskkit._embedder import make_embedder
from maskkit._finetune import fine_tune
from maskkit._head import TransferHead
from maskkit._images import ImageSource, check_images
from maskkit._params import check_params
from maskkit._photos import PhotoReader
from maskkit._preprocess import Augment
from maskkit._results import PhotoResult
from maskkit._targets import check_labels, merge_weights
from maskkit.backbones._base import Backbone, Weights
from maskkit.detectors._base import Detector

# A new head may move faster than a pretrained backbone, not faster than one that is new as well.
_HEAD_RATE_FACTOR = 10

# The origin's recipe: two rounds of 16 images.
_FINE_TUNE_DEFAULTS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-4, "early_stopping": False}
_HEAD_PARAMETERS = ("epochs", "batch_size", "learning_rate", "class_weight", "early_stopping", "validation_fraction")


class MaskClassifier(ClassifierMixin, BaseEstimator):
    """Tells whether the person in a picture wears a face mask; a scikit-learn classifier of images.

    A backbone pretrained on ImageNet turns each image into features, and a head trained on yours
    turns these into probabilities. By default the backbone is frozen; ``fine_tune=True`` trains
    every layer. `fit`, `predict`, `predict_proba` and `score` take crops, one face an image;
    `predict_faces` and `predict_photos` find the faces first.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, any installed plugin or an instance.
    weights : {"imagenet"}, path or None, default="imagenet"
        What the backbone starts from; a path leads to a state dict, None gives random values.
    head : classifier, optional
        Any scikit-learn classifier with `predict_proba`; by default ``TransferHead()``.
    fine_tune : bool, default=False
        Train the backbone too; needs a `TransferHead`.
    epochs : int, optional
        Passes over the training data, at most. By default what the head says, 2 when fine-tuning.
    batch_size : int, optional
        Images computed at once. By default 32 for features and what the head says for training, 16
        when fine-tuning.
    learning_rate : float, optional
        The highest of the one-cycle schedule. By default what the head says, 3e-4 when fine-tuning;
        there the head of a pretrained backbone has ten times the rate.
    early_stopping : bool, optional
        Hold out a part, stop when its loss no longer falls, and go back to the best weights. By
        default what the head says; not when fine-tuning.
    validation_fraction : float, optional
        The part held out for early stopping. By default what the head says.
    class_weight : {"balanced"}, dict or None, default=None
        As in scikit-learn.
    augment : {"auto"}, callable or None, default="auto"
        How training images are varied when fine-tuning: ``"auto"`` moves, relights, blurs, shrinks
        and compresses them; a callable takes (image, rng) and gives an image.
    image_size : int, optional
        Side of the square that images are resized to, in pixels; by default the backbone's own.
    detector : str or Detector, default="centerface"
        ``"centerface"``, ``"dlib_hog"``, ``"dlib_cnn"``, ``"yunet"``, ``"whole"``, any installed
        plugin or an instance.
    device : str, default="auto"
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Of the backbone's matrix products; ``"auto"`` is bfloat16 where the hardware has it.
    random_state : int, RandomState instance or None, default=None
        Two fits with the same int on one machine give the same model, bit for bit.
    verbose : int, default=0
        1 shows progress on standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; the order of the columns of `predict_proba`.
    class_counts_ : ndarray of shape (n_classes,), int64
        Training images of each class.
    embedder_ : FaceEmbedder
    head_ : classifier
    detector_ : Detector
    model_name_ : str
        What results call the model; a loaded one is called as its folder.
    history_ : list of dict
        A record an epoch: epoch, loss, accuracy, images_per_second, and validation_loss and
        validation_accuracy with early stopping. Empty for a scikit-learn head.

    Notes
    -----
    There is no `n_features_in_`: images have no columns.

    Examples
    --------
    >>> from maskkit import MaskClassifier
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(20, random_state=0)
    >>> model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0).fit(faces, labels)
    >>> model.score(faces, labels)
    1.0
    """

    def __init__(
        self,
        backbone: str | Backbone = "resnet50",
        *,
        weights: Weights = "imagenet",
        head: Any = None,
        fine_tune: bool = False,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        early_stopping: bool | None = None,
        validation_fraction: float | None = None,
        class_weight: dict[Any, float] | str | None = None,
        augment: Literal["auto"] | Augment | None = "auto",
        image_size: int | None = None,
        detector: str | Detector = "centerface",
        device: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.head = head
        self.fine_tune = fine_tune
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.augment = augment
        self.image_size = image_size
        self.detector = detector
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on face crops.

        Parameters
        ----------
        X : sequence of images
            One face an image: paths, bytes, binary files, PIL images or uint8 arrays.
        y : array-like of shape (n_images,)
            Labels, all str or all int, of two or more classes.
        sample_weight : array-like of shape (n_images,), optional
            Non-negative; how much each image counts.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        ValueError
            If lengths disagree, there is only one class, or parameters exclude each other.
        ImageError
            If an image cannot be read; the message names it.
        WeightsError, PluginError
            If weights or plugins cannot be had.
        """
        check_params(self)
        sources = check_images(X)
        y = check_labels(y)
        if len(y) != len(sources):
            raise ValueError(f"X has {len(sources)} images and y {len(y)} labels; want one label an image.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        head = self._make_head(seed)
        self.detector_ = _plugins.resolve("detectors", self.detector)
        self.embedder_ = make_embedder(self.get_params(deep=False), seed).fit(sources)
        if self.fine_tune:
            self.head_ = self._fit_every_layer(head, sources, y, sample_weight, seed)
        else:
            self.head_ = self._fit_head(head, sources, y, sample_weight)
        self.classes_ = self.head_.classes_
        self.history_ = getattr(self.head_, "history_", [])
        self.class_counts_ = np.unique(y, return_counts=True)[1]
        self.model_name_ = f"{_name(self.backbone)} + {type(self.head_).__name__}"
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Tell the probability of each class for face crops.

        Parameters
        ----------
        X : sequence of images
            One face an image.

        Returns
        -------
        proba : ndarray of shape (n_images, n_classes), float64
            Rows sum to 1; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.head_.predict_proba(self._features(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Name the most probable class of face crops, (n_images,)."""
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_faces(self, photo: ImageSource) -> PhotoResult:
        """Find the faces of one photo and classify each.

        Parameters
        ----------
        photo : image
            With any number of faces.

        Returns
        -------
        result : PhotoResult
            Its faces, largest first; empty if there is none.

        Raises
        ------
        ImageError
            If the photo cannot be read.
        """
        check_is_fitted(self)
        return self._photo_reader().read_one(photo)

    def predict_photos(
        self, photos: Iterable[ImageSource], *, on_error: Literal["report", "raise"] = "report"
    ) -> Iterator[PhotoResult]:
        """Find and classify the faces of many photos, a stream to a stream.

        Faces of several photos share a batch, and memory is that of a few photos however many come.

        Parameters
        ----------
        photos : iterable of images
            A generator will do; it may be endless.
        on_error : {"report", "raise"}, default="report"
            What a photo that cannot be read gives: a result with the status ``"unreadable"``, or an
            `ImageError`.

        Yields
        ------
        result : PhotoResult
            One a photo, in order.
        """
        check_is_fitted(self)
        if on_error not in ("report", "raise"):
            raise ValueError(f"on_error={on_error!r} is unknown; use 'report' or 'raise'.")
        if isinstance(photos, (str, os.PathLike)):
            check_images(photos)  # says that one path is not many
        return self._photo_reader().read(photos, on_error=on_error)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> Path:
        """Write the fitted model: a folder of safetensors and JSON with a model card.

        Parameters
        ----------
        folder : path
            Made, or replaced if it is a saved model.
        half : bool, default=False
            Store weights as float16.

        Returns
        -------
        folder : Path

        Raises
        ------
        ModelFileError
            If the folder is something else, or the head is not a `TransferHead` (no file format but
            pickle holds any scikit-learn classifier, and pickles run code).
        """
        check_is_fitted(self)
        return _storage.save(self, folder, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **params: Any) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : path
        **params : object
            Constructor parameters that matter to prediction, such as `detector` or `device`, instead
            of those saved.

        Raises
        ------
        ModelFileError
            If a file is missing or damaged.
        """
        return _storage.load(cls, folder, **params)

    @classmethod
    def from_pretrained(cls, name: str = "maskkit-lite0", **params: Any) -> Self:
        """Load a model that ships with the package; uses no network.

        Parameters
        ----------
        name : str, default="maskkit-lite0"
        **params : object
            As in `load`.
        """
        return cls.load(_storage.find_pretrained(name), **params)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``head__hidden_units=50`` works on ``head=None`` too, which means ``TransferHead()``."""
        if self.head is None and "head" not in params and any(name.startswith("head__") for name in params):
            self.head = TransferHead()
        return super().set_params(**params)

    def _photo_reader(self) -> PhotoReader:
        return PhotoReader(
            self.detector_,
            self.predict_proba,
            self.classes_,
            model=self.model_name_,
            detector_name=_name(self.detector),
        )

    def _features(self, X: Any) -> NDArray[np.float32]:
        """Compute features: the one seam, which tests may replace."""
        return self.embedder_.transform(X)

    def _fit_head(self, head: Any, sources: list[Any], y: NDArray[Any], sample_weight: ArrayLike | None) -> Any:
        if callable(self.augment):
            raise ValueError("augment is for fine_tune=True; frozen features are computed once, of clean images.")
        features = self._features(sources)
        if sample_weight is None:
            return head.fit(features, y)
        if not has_fit_parameter(head, "sample_weight"):
            raise ValueError(f"{type(head).__name__} takes no sample_weight; choose another head or leave it out.")
        return head.fit(features, y, sample_weight=sample_weight)

    def _fit_every_layer(
        self, head: TransferHead, sources: list[Any], y: NDArray[Any], sample_weight: ArrayLike | None, seed: int
    ) -> TransferHead:
        if not isinstance(head, TransferHead):
            raise ValueError(f"fine_tune=True trains a TransferHead, not {type(head).__name__}; leave head=None.")
        given = {name: getattr(self, name) for name in _FINE_TUNE_DEFAULTS if getattr(self, name) is not None}
        fine_tune(
            self.embedder_,
            head,
            sources,
            y,
            merge_weights(self.class_weight, y, sample_weight),
            head_rate_factor=1 if self.weights is None else _HEAD_RATE_FACTOR,
            augment=augment_face if self.augment == "auto" else self.augment,
            seed=seed,
            verbose=self.verbose,
            **_FINE_TUNE_DEFAULTS | given,
        )
        return head

    def _make_head(self, seed: int) -> Any:
        head = TransferHead() if self.head is None else clone(self.head)
        if not hasattr(head, "predict_proba"):
            raise ValueError(f"head {type(head).__name__} has no predict_proba; use a classifier that has one.")
        given = {name: getattr(self, name) for name in _HEAD_PARAMETERS if getattr(self, name) is not None}
        if isinstance(head, TransferHead):
            head.set_params(device=self.device, verbose=self.verbose, **given)
        elif given:
            raise ValueError(f"{', '.join(given)} set a TransferHead; give {type(head).__name__} its own parameters.")
        if "random_state" in head.get_params() and head.get_params()["random_state"] is None:
            head.set_params(random_state=seed)
        return head

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _name(plugin: Any) -> str:
    return plugin if isinstance(plugin, str) else type(plugin).__name__
