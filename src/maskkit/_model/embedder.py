"""FaceEmbedder: images to features, with a frozen backbone."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from maskkit import _plugins
from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource, RgbImage, check_images, name_source, read_content
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._images.preprocess import Preprocess
from maskkit._model.feature_cache import FeatureCache, Features, open_cache
from maskkit._model.params import check_params
from maskkit.augment._camera import augment_face
from maskkit.backbones._base import Backbone, Weights, build_network, check_features
from maskkit.detectors import CenterFaceDetector
from maskkit.detectors._locate import SMALL_FACE, crop_to_face, find_face_to_crop
from maskkit.engines import Engine, Quantized, check_engine, make_engine, quantize, resolve_engine
from maskkit.engines._devices import resolve_device, seeded
from maskkit.engines._fingerprint import fingerprint

# Enough for a face that fills a tenth of the picture, and a quarter of the time of the default.
LOCATING_PX = 256
LOCATING_THRESHOLD = 0.5
# A face that fills the picture is seen at this size in a third of the time, in six crops of seven.
GLANCING_PX = 96

# Of what makes pixels and features; a file of features outlives an upgrade.
_VERSIONS = tuple(version(name) for name in ("maskkit", "numpy", "pillow", "torch", "openvino"))

# NNCF's own default; ranges of activations change little beyond.
N_CALIBRATION_IMAGES = 300


@dataclass(frozen=True, slots=True)
class Embedded:
    """The features of a batch.

    Attributes
    ----------
    features : ndarray of shape (n, n_features), float32
    refine : callable or None
        Gives the features of some rows again, computed in float32; None if these are as they should be.
    """

    features: NDArray[np.float32]
    refine: Callable[[Sequence[int]], NDArray[np.float32]] | None = None


class FaceEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns images of faces into features; a scikit-learn transformer.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, any installed plugin or an instance.
    weights : path, {"imagenet"} or None, default="imagenet"
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
    engine : {"auto", "torch", "openvino"}, default="auto"
        Who computes: ``"auto"`` is torch on a GPU, else OpenVINO, several times as fast on a CPU.
    precision : {"auto", "float32", "bfloat16", "float16", "int8"}, default="auto"
        Of matrix products; ``"auto"`` is bfloat16 where the hardware has it, else float32. ``"int8"``
        wants `quantize` first.
    cache : path, {"memory"} or None, default="memory"
        Where features are kept, so that each distinct image is computed once: in memory, the last
        128 MB of them, shared by the whole process; or in a file, shared by processes and runs.
    random_state : int, RandomState instance or None, default=None
        Seeds random weights.

    Attributes
    ----------
    backbone_ : Backbone
    network_ : torch.nn.Module
        Float32 (n, 3, image_size, image_size) to (n, n_features).
    preprocess_ : Preprocess
    engine_ : Engine

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
        check_engine(self.engine, self.device, self.precision)
        open_cache(self.cache)
        backbone = _plugins.resolve("backbones", self.backbone)
        with seeded(int(check_random_state(self.random_state).randint(2**31 - 1))):
            network = build_network(backbone, self.weights)
        size = self.image_size or backbone.image_size
        return self.adopt(backbone, network, Preprocess(size, tuple(backbone.mean), tuple(backbone.std)))

    def adopt(self, backbone: Backbone, network: nn.Module, preprocess: Preprocess) -> Self:
        """Take a network that is already filled, such as a saved one, in place of `fit`."""
        self.backbone_ = backbone
        self.preprocess_ = preprocess
        self.network_ = network.eval().to(memory_format=torch.channels_last)
        self.quantized_: Quantized | None = None
        self.renew()
        self._n_features_out = backbone.n_features
        self.detector_, self._fast_detector = (
            CenterFaceDetector(long_side_px=side_px, threshold=LOCATING_THRESHOLD, n_threads=1)
            for side_px in (LOCATING_PX, GLANCING_PX)
        )
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

    def quantize(self, X: Any) -> Self:
        """Make the network in int8, ranges calibrated on images; ``precision="int8"`` then uses it.

        Parameters
        ----------
        X : sequence of images
            Like those to be embedded; 300 of them, evenly spread, are looked at.

        Raises
        ------
        EngineError
            If NNCF is not installed or the network cannot be converted.
        """
        check_is_fitted(self)
        sources = check_images(X)
        rows = np.unique(np.linspace(0, len(sources) - 1, N_CALIBRATION_IMAGES).astype(int)).tolist()
        pixels = prefetch_map(lambda row: self._load(sources[row], name_source(sources[row], row)), rows)
        self.quantized_ = quantize(self.network_, self.preprocess_, list(pixels))
        self._engines.clear()
        return self

    def stream(self, images: Iterable[ImageSource]) -> Iterator[NDArray[np.float32]]:
        """Yield the features batch by batch; images may come from an endless generator.

        Parameters
        ----------
        images : iterable of images

        Yields
        ------
        features : ndarray of shape (at most batch_size, n_features), float32
        """
        for batch in self.embed(images):
            yield batch.features

    def embed(
        self, images: Iterable[ImageSource], *, are_crops: bool = False, with_copies: bool = False
    ) -> Iterator[Embedded]:
        """Yield features batch by batch, with the means to have them more exactly.

        Parameters
        ----------
        images : iterable of images
        are_crops : bool, default=False
            The images are known to be face crops that come once: look for no face in them, keep no features.
        with_copies : bool, default=False
            After each image comes a copy of it, changed as `augment_face` does with random numbers that its
            content seeds: always the same way, so that this too is computed once.

        Yields
        ------
        embedded : Embedded
            Of at most `batch_size` images and copies.
        """
        check_is_fitted(self)
        engine = self._engine_of(self.precision)
        cache = None if are_crops else open_cache(self.cache)
        owner = "" if cache is None else self._describe()

        def prepare(item: tuple[int, ImageSource]) -> list[_Item]:
            index, source = item
            name = name_source(source, index)
            if cache is None and not with_copies:
                return [_Item(source, name, pixels=self._load(source, name, are_crops=are_crops))]
            content, digest = read_content(source, name=name)
            are_copies = (False, True) if with_copies else (False,)
            items = {is_copy: _Item(source, name, f"{digest} {owner} {is_copy}") for is_copy in are_copies}
            image = None
            for is_copy, one in items.items():
                one.features = None if cache is None else cache.get(one.key)
                if one.features is None:
                    image = self._open(content, name, are_crops=are_crops) if image is None else image
                    view = augment_face(image, np.random.default_rng(list(digest.encode()))) if is_copy else image
                    one.pixels = self.preprocess_.resize(view)
            return list(items.values())

        def compute(batch: list[_Item]) -> list[_Item]:
            new = [item for item in batch if item.features is None and not item.is_repeated]
            if new:
                pixels = np.stack([item.pixels for item in new if item.pixels is not None])
                for item, features in zip(new, self._compute(engine, pixels), strict=True):
                    item.features = features
            return batch

        prepared = chain.from_iterable(prefetch_map(prepare, enumerate(images), n_ahead=2 * self.batch_size))
        under_way: set[str] = set()
        batches = (_look_again(batch, cache, under_way) for batch in in_batches(prepared, self.batch_size))
        for batch in prefetch_map(compute, batches, n_ahead=engine.n_streams + 1, n_workers=engine.n_streams):
            if cache is not None:
                cache.put({item.key: item.features for item in batch if item.key and item.features is not None})
                under_way.difference_update(item.key for item in batch if not item.is_repeated)
            for item in batch:
                if item.features is None and item.pixels is not None:
                    # Of an image that came shortly before; unless the cache is too small to hold it that long.
                    found = cache.get(item.key) if cache is not None else None
                    item.features = self._compute(engine, item.pixels[None])[0] if found is None else found
            features = np.stack([item.features for item in batch if item.features is not None])
            is_final = with_copies or not engine.is_rounded
            yield Embedded(features, None if is_final else partial(self._refine, batch, are_crops))

    def _refine(self, batch: "list[_Item]", are_crops: bool, rows: Sequence[int]) -> NDArray[np.float32]:
        # What came out of the cache has to be read again.
        pixels = [
            self._load(item.source, item.name, are_crops=are_crops) if item.pixels is None else item.pixels
            for item in (batch[row] for row in rows)
        ]
        return self._compute(self._engine_of("float32"), np.stack(pixels))

    def _compute(self, engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with _plugins.plugin_errors("backbones", self.backbone_, "its network"):
            features = engine.compute(pixels)
        check_features(features, self.backbone_, len(pixels))
        return features

    @property
    def engine_(self) -> Engine:
        """Who computes, as the parameters are now."""
        return self._engine_of(self.precision)

    def renew(self) -> None:
        """Forget what was made of the network; to be called when its weights have changed."""
        self._engines: dict[tuple[str, ...], Engine] = {}
        self._fingerprint = ""

    def _engine_of(self, precision: str) -> Engine:
        check_engine(self.engine, self.device, precision)
        # A process that was forked makes its own: threads that compute stay behind.
        key = (str(os.getpid()), self.engine, str(resolve_device(self.device)), precision)
        if key not in self._engines:
            self._engines[key] = make_engine(
                self.network_,
                self.preprocess_,
                engine=self.engine,
                device=self.device,
                precision=precision,
                fingerprint=self._identify(),
                quantized=self.quantized_,
            )
        return self._engines[key]

    def _identify(self) -> str:
        if not self._fingerprint:
            self._fingerprint = fingerprint(self.network_, self.preprocess_)
        return self._fingerprint

    def _describe(self) -> str:
        """Tell everything that changes the features of an image."""
        precision = self.precision
        if precision == "int8" and self.quantized_ is not None:
            precision = hash_content(*self.quantized_)
        device = resolve_device(self.device)
        engine = resolve_engine(self.engine, device)
        located = (LOCATING_PX, GLANCING_PX, LOCATING_THRESHOLD, SMALL_FACE) if self.find_face else ()
        return f"{self._identify()} {engine} {device.type} {precision} {located} {_VERSIONS}"

    def _open(self, source: ImageSource, name: str, *, are_crops: bool) -> RgbImage:
        image = self.preprocess_.decode(source, name=name)
        return image if are_crops else self.cut_face(image)

    def _load(self, source: ImageSource, name: str, *, are_crops: bool = False) -> RgbImage:
        return self.preprocess_.resize(self._open(source, name, are_crops=are_crops))

    def small_face(self, image: RgbImage) -> NDArray[np.float32] | None:
        """Find the face that is to be cut out of a picture; None if it is taken whole."""
        return find_face_to_crop(image, self.detector_, self._fast_detector) if self.find_face else None

    def cut_face(self, image: RgbImage) -> RgbImage:
        """Cut out the face of a picture of more than a face."""
        return crop_to_face(image, self.small_face(image))

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "network_" in state:
            # A pickle must open on a machine without this one's GPU, or with another processor.
            state = {**state, "network_": state["network_"].cpu(), "_engines": {}}
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def make_embedder(params: Mapping[str, Any], seed: int | None = None) -> FaceEmbedder:
    """Make the unfitted embedder that a MaskClassifier's parameters ask for."""
    names = ("backbone", "weights", "image_size", "find_face", "batch_size", "device", "engine", "precision", "cache")
    given = {name: params[name] for name in names if name != "batch_size" or params[name] is not None}
    return FaceEmbedder(**given, random_state=seed)


@dataclass(slots=True)
class _Item:
    """An image on its way to its features."""

    source: ImageSource
    name: str
    key: str = ""
    features: Features | None = None
    pixels: RgbImage | None = None
    is_repeated: bool = False


def _look_again(batch: list[_Item], cache: FeatureCache | None, under_way: set[str]) -> list[_Item]:
    """Find images whose equals were computed since, or are being computed; adds the others to these."""
    for item in batch:
        if cache is not None and item.features is None:
            item.features = cache.get(item.key)
        if cache is not None and item.features is None:
            item.is_repeated = item.key in under_way
            under_way.add(item.key)
    return batch
