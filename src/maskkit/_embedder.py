"""FaceEmbedder: images to features, with a frozen backbone."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from maskkit import _plugins
from maskkit._devices import autocast, resolve_device, resolve_precision, seeded
from maskkit._images import ImageSource, RgbImage, check_images, name_source
from maskkit._locate import Box, cut, find_small_face
from maskkit._parallel import in_batches, map_ahead
from maskkit._params import check_params
from maskkit._preprocess import Preprocess
from maskkit.backbones._base import Backbone, Weights
from maskkit.detectors import CenterFaceDetector

# Enough for a face that fills a tenth of the picture, and a quarter of the time of the default.
LOCATING_PX = 256
LOCATING_THRESHOLD = 0.5


class FaceEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns images of faces into features; a scikit-learn transformer.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, any installed plugin or an instance.
    weights : {"imagenet"}, path or None, default="imagenet"
        A path leads to a state dict; None gives random values, seeded by `random_state`.
    image_size : int, optional
        Side of the square that images are resized to, in pixels; by default the backbone's own.
    find_face : bool, default=False
        Cut the largest face out of pictures that show much more than a face, such as a whole person.
        Pictures in which none is found, and face crops, are taken whole.
    batch_size : int, default=32
        Images computed at once.
    device : str, default="auto"
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Of matrix products; ``"auto"`` is bfloat16 where the hardware has it, else float32.
    random_state : int, RandomState instance or None, default=None
        Seeds random weights.

    Attributes
    ----------
    backbone_ : Backbone
    network_ : torch.nn.Module
        Float32 (n, 3, image_size, image_size) to (n, n_features).
    preprocess_ : Preprocess

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
        batch_size: int = 32,
        device: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.find_face = find_face
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Build the network; nothing is learned from the images.

        Parameters
        ----------
        X : sequence of images
            Not opened.
        y : ignored

        Raises
        ------
        WeightsError
            If the weights cannot be had or do not fit.
        PluginError
            If the backbone is unknown.
        """
        check_params(self)
        check_images(X)
        resolve_precision(self.precision, resolve_device(self.device))
        backbone = _plugins.resolve("backbones", self.backbone)
        with seeded(int(check_random_state(self.random_state).randint(2**31 - 1))):
            network = backbone.build(self.weights)
        size = self.image_size or backbone.image_size
        return self.adopt(backbone, network, Preprocess(size, tuple(backbone.mean), tuple(backbone.std)))

    def adopt(self, backbone: Backbone, network: nn.Module, preprocess: Preprocess) -> Self:
        """Take a network that is already filled, such as a saved one, in place of `fit`."""
        self.backbone_ = backbone
        self.preprocess_ = preprocess
        self.network_ = network.eval().to(memory_format=torch.channels_last)
        self._n_features_out = backbone.n_features
        self.locator_ = CenterFaceDetector(long_side_px=LOCATING_PX, threshold=LOCATING_THRESHOLD)
        return self

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

    def stream(self, images: Iterable[ImageSource], *, are_crops: bool = False) -> Iterator[NDArray[np.float32]]:
        """Yield the features batch by batch; images may come from an endless generator.

        Parameters
        ----------
        images : iterable of images
        are_crops : bool, default=False
            The images are known to be face crops: look for no face in them.

        Yields
        ------
        features : ndarray of shape (at most batch_size, n_features), float32
        """
        check_is_fitted(self)
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, device)
        network = self.network_.to(device)
        change = None if are_crops else self.cut_face

        def load(item: tuple[int, ImageSource]) -> RgbImage:
            index, source = item
            return self.preprocess_.load(source, name=name_source(source, index), change=change)

        pixels = map_ahead(load, enumerate(images), n_ahead=2 * self.batch_size)
        for batch in in_batches(pixels, self.batch_size):
            inputs = self.preprocess_.normalise(np.stack(batch), device)
            with torch.inference_mode(), autocast(device, precision):
                features = network(inputs)
            yield features.float().cpu().numpy()

    def small_face(self, image: RgbImage) -> Box | None:
        """Find the face that is to be cut out of a picture; None if it is taken whole."""
        return find_small_face(image, self.locator_) if self.find_face else None

    def cut_face(self, image: RgbImage) -> RgbImage:
        """Cut out the face of a picture of more than a face."""
        return cut(image, self.small_face(image))

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "network_" in state:
            # A pickle must open on a machine without this one's GPU.
            state = {**state, "network_": state["network_"].cpu()}
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def make_embedder(params: Mapping[str, Any], seed: int | None = None) -> FaceEmbedder:
    """Make the unfitted embedder that a MaskClassifier's parameters ask for."""
    names = ("backbone", "weights", "image_size", "find_face", "batch_size", "device", "precision")
    given = {name: params[name] for name in names if name != "batch_size" or params[name] is not None}
    return FaceEmbedder(**given, random_state=seed)
