"""FaceEmbedder: a scikit-learn transformer from images to features."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from maskkit import _plugins
from maskkit._checks.numbers import check_int
from maskkit._images.load import ImageSource, check_images
from maskkit._images.preprocess import Preprocess, make_preprocess
from maskkit._model.feature_cache import open_cache
from maskkit._model.features import FeatureExtractor
from maskkit._model.fitted_backbone import ComputeSettings, FittedBackbone, check_network
from maskkit._model.params import FitRecord, check_params
from maskkit._plugins import plugin_errors
from maskkit.backbones._base import Backbone, Weights
from maskkit.detectors._face_finder import FaceFinder
from maskkit.engines import Engine, check_engine

# Parameters that `transform` follows when they change after the fit.
_HEEDED = ("find_face", "batch_size", "device", "engine", "precision", "cache")


class ImageEstimator(BaseEstimator):
    """An estimator whose input is a sequence of images, such as paths."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


class FaceEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ImageEstimator):
    """Transform images of faces into the features of a backbone.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        Network that computes the features: ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, the name of
        an installed plugin, or an instance.
    weights : path, {"imagenet"} or None, default="imagenet"
        Initial weights of the backbone: ImageNet weights, the path of a state dict or of a saved model, the name of a
        bundled one, such as ``"maskkit-lite0"``, or None for random weights, seeded by `random_state`.
    image_size : int, optional
        Side of the square input in pixels. By default the backbone's own.
    find_face : bool, default=False
        Whether to crop pictures that show much more than a face, such as a whole person, to the largest face.
        Face crops, and pictures without a detected face, are used whole.
    batch_size : int, optional
        Number of images per batch. By default 32, or on CUDA as many as fit half of its free memory, up to 256.
    device : str, default="auto"
        Device that computes: ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    engine : {"auto", "torch", "openvino"}, default="auto"
        Inference backend. ``"auto"``: PyTorch on a GPU, OpenVINO on a CPU (several times faster there).
    precision : {"auto", "float32", "bfloat16", "float16", "int8"}, default="auto"
        Inference precision. ``"auto"``: bfloat16 where the hardware supports it natively, otherwise float32.
        ``"int8"`` requires `quantize` first.
    cache : path, {"memory"} or None, default="memory"
        Where features are cached, so that each distinct image is computed once. ``"memory"``: the most recently used
        128 MB, shared by the whole process. A path: a file, shared by processes and later runs.
    random_state : int, RandomState instance or None, default=None
        Seed of random weights.

    Attributes
    ----------
    backbone_ : Backbone
        The backbone instance.
    network_ : torch.nn.Module
        Maps float32 (n, 3, image_size, image_size) to (n, n_features).
    preprocess_ : Preprocess
        Resizing and normalization of images.
    engine_ : Engine
        Inference engine for the current parameters.

    Notes
    -----
    There is no `n_features_in_`: images have no columns.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from maskkit import FaceEmbedder
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(20, random_state=0)
    >>> embedder = FaceEmbedder("efficientnet_lite0", image_size=64)
    >>> make_pipeline(embedder, LogisticRegression()).fit(faces, labels).score(faces, labels)
    1.0
    """

    def __init__(
        self,
        backbone: str | Backbone = "resnet50",
        *,
        weights: Weights = "imagenet",
        image_size: int | None = None,
        find_face: bool = False,
        batch_size: int | None = None,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        cache: str | PathLike[str] | None = "memory",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.find_face = find_face
        self.batch_size = batch_size
        self.device = device
        self.engine = engine
        self.precision = precision
        self.cache = cache
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Build the network. Nothing is learned from the images.

        Parameters
        ----------
        X : sequence of images
            Not opened.
        y : ignored

        Returns
        -------
        self : FaceEmbedder

        Raises
        ------
        WeightsError
            If the weights cannot be found or do not fit the network.
        PluginError
            If the backbone is unknown, or its network does not take images of `image_size`.
        """
        params = check_params(self)
        check_images(X)
        self._check_engine()
        backbone = _plugins.resolve("backbones", self.backbone)
        seed = int(check_random_state(params["random_state"]).randint(2**31 - 1))
        with plugin_errors("backbones", backbone, "its preprocessing"):
            preprocess = make_preprocess(params["image_size"] or backbone.image_size, backbone.mean, backbone.std)
        return self._set_backbone(FittedBackbone.build(backbone, self.weights, preprocess, seed))

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Compute the features of images.

        Parameters
        ----------
        X : sequence of images
            Paths, bytes, binary files, PIL images or uint8 arrays.

        Returns
        -------
        features : ndarray of shape (n_images, n_features), float32

        Raises
        ------
        ImageError
            If an image cannot be read; the message names it.
        """
        check_is_fitted(self)
        return np.concatenate(list(self.stream(check_images(X))))

    def stream(self, images: Iterable[ImageSource]) -> Iterator[NDArray[np.float32]]:
        """Iterate over the features of images, batch by batch.

        Parameters
        ----------
        images : iterable of images
            May be an endless generator.

        Yields
        ------
        features : ndarray of shape (at most batch_size, n_features), float32
        """
        check_is_fitted(self)
        for batch in self._extractor().extract(images):
            yield batch.features

    def quantize(self, X: Any) -> Self:
        """Quantize the network to int8, for ``precision="int8"``.

        Parameters
        ----------
        X : sequence of images
            Images like those to be embedded. At most 300 of them, evenly spaced, calibrate the activation ranges.

        Returns
        -------
        self : FaceEmbedder

        Raises
        ------
        EngineError
            If NNCF is not installed or the network cannot be converted.
        """
        check_is_fitted(self)
        self._extractor().quantize(check_images(X))
        return self

    @property
    def backbone_(self) -> Backbone:
        """The backbone instance."""
        return self._fitted.backbone

    @property
    def network_(self) -> nn.Module:
        """The network of the backbone."""
        return self._fitted.network

    @property
    def preprocess_(self) -> Preprocess:
        """Resizing and normalization of images."""
        return self._fitted.preprocess

    @property
    def engine_(self) -> Engine:
        """Inference engine for the current parameters."""
        return self._fitted.engine(self._settings())

    def _check_engine(self) -> None:
        check_engine(self.engine, self.device, self.precision)
        open_cache(self.cache)

    def _go_on_from(self, trained: FittedBackbone) -> Self:
        """Start with a copy of a trained network instead of building one."""
        params = check_params(self)
        self._check_engine()
        network, preprocess = copy.deepcopy(trained.network), trained.preprocess
        if params["image_size"] not in (None, preprocess.image_size):
            check_network(network, trained.backbone, params["image_size"])
            preprocess = replace(preprocess, image_size=params["image_size"])
        return self._set_backbone(FittedBackbone(trained.backbone, network, preprocess))

    def _set_backbone(self, fitted: FittedBackbone) -> Self:
        """Use an existing network, such as a saved one, instead of building one."""
        self._fitted = fitted
        self._face_finder = FaceFinder()
        self._n_features_out = check_int(fitted.backbone.n_features, "n_features", 1)
        self._fit_record = FitRecord(self, _HEEDED)
        return self

    def _set_image_size(self, image_size: int) -> None:
        """Use another input size than the network was built for."""
        old = self._fitted
        fitted = FittedBackbone(old.backbone, old.network, replace(old.preprocess, image_size=image_size))
        self.set_params(image_size=image_size)._set_backbone(fitted)

    def _settings(self) -> ComputeSettings:
        params = check_params(self)
        return ComputeSettings(self.device, self.engine, self.precision, params["batch_size"], self.cache)

    def _extractor(self) -> FeatureExtractor:
        """Return the plain object that computes features with the current parameters."""
        self._fit_record.check_unchanged(self)
        return FeatureExtractor(self._fitted, self._face_finder if self.find_face else None, self._settings())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")


def make_embedder(params: Mapping[str, Any], seed: int | None = None) -> FaceEmbedder:
    """Build an unfitted embedder from the parameters of a MaskClassifier."""
    names = ("backbone", "weights", "image_size", "find_face", "batch_size", "device", "engine", "precision", "cache")
    return FaceEmbedder(**{name: params[name] for name in names}, random_state=seed)
