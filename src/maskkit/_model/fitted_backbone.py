"""A backbone's network together with its preprocessing and the engines that run it."""

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._files.tensors import hash_weights
from maskkit._images.hashing import hash_content
from maskkit._images.load import RgbImage
from maskkit._images.preprocess import Preprocess
from maskkit._plugins import plugin_errors
from maskkit.backbones._base import Backbone, Weights, build_network, is_fixed
from maskkit.engines import Engine, Quantized, check_engine, make_engine, quantize, resolve_engine
from maskkit.engines._devices import move, one_thread, resolve_device, resolve_precision, seeded
from maskkit.exceptions import PluginError, WeightsError

# NNCF's default; more images hardly change the activation ranges.
N_CALIBRATION_IMAGES = 300

# Layers and hash of the weights of each network that this process has built and can build again, such as for the next
# fold of a cross-validation.
_BUILT: dict[tuple[Any, ...], tuple[str, str]] = {}


@dataclass(frozen=True, slots=True)
class ComputeSettings:
    """Settings of feature computation: the parameters of `FaceEmbedder` with these names."""

    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    cache: str | os.PathLike[str] | None = "memory"


class FittedBackbone:
    """A backbone's network, its preprocessing, the network in int8, and the engines that were compiled for it."""

    def __init__(
        self, backbone: Backbone, network: nn.Module | None, preprocess: Preprocess, quantized: Quantized | None = None
    ):
        self.backbone = backbone
        self.preprocess = preprocess
        self.quantized = quantized
        self._network = None if network is None else _prepare(network)
        self._build: Callable[[], nn.Module] | None = None
        self._layers = ""  # those of a network that is yet to be built
        self.invalidate_engines()

    @classmethod
    def build(cls, backbone: Backbone, weights: Weights, preprocess: Preprocess, seed: int) -> Self:
        """Build the network of a backbone; `seed` is that of random weights.

        If this process has built an equal one before, the network is built when it is first needed. That is never if
        all features are cached, or if the engine is among those compiled before.

        Raises WeightsError, PluginError as `build_network`; PluginError if the network takes no images of this size.
        """

        def build() -> nn.Module:
            # Layers without weights are drawn from the global generator of torch, whose state is restored afterwards.
            # Many small tensors are read and checked, and several threads would wait for each other at each of them.
            with seeded(seed), one_thread():
                network = build_network(backbone, weights)
            # Many transformers take one size only; engines would fail less clearly.
            if preprocess.image_size != backbone.image_size:
                check_network(network, backbone, preprocess.image_size)
            return network

        if not is_fixed(backbone, weights):
            return cls(backbone, build(), preprocess)
        key = (type(backbone), weights, preprocess.image_size)
        if key not in _BUILT:
            fitted = cls(backbone, build(), preprocess)
            _BUILT[key] = _identify(fitted.network)
            return fitted
        fitted = cls(backbone, None, preprocess)
        fitted._build, (fitted._layers, fitted._weights_sha256) = build, _BUILT[key]
        return fitted

    @property
    def network(self) -> nn.Module:
        """Maps float32 (n, 3, image_size, image_size) to (n, n_features)."""
        if self._network is None:
            assert self._build is not None
            network = _prepare(self._build())
            if _identify(network) != (self._layers, self._weights_sha256):
                _BUILT.clear()
                raise WeightsError(
                    f"the weights of {type(self.backbone).__name__} are no longer those that this process read first, "
                    f"so a package was replaced; call fit again."
                )
            self._network = network
        return self._network

    def invalidate_engines(self) -> None:
        """Drop the compiled engines, as is necessary after the weights have changed."""
        self._engines: dict[tuple[Any, ...], Engine] = {}
        self._copies: dict[torch.device, nn.Module] = {}
        self._weights_sha256 = ""

    @property
    def weights_sha256(self) -> str:
        """Content hash of the weights of the network, computed once."""
        if not self._weights_sha256:
            self._weights_sha256 = hash_weights(self.network)
        return self._weights_sha256

    @property
    def fingerprint(self) -> str:
        """Content hash of the network and its preprocessing."""
        layers = self._layers if self._network is None else repr(self._network)
        return hash_content(f"{layers} {self.preprocess!r} {self.weights_sha256}".encode())

    def engine(self, settings: ComputeSettings, precision: str | None = None) -> Engine:
        """Return the engine for some settings, compiled once; `precision` overrides theirs."""
        precision = settings.precision if precision is None else precision
        device = resolve_device(settings.device)
        # Threads do not survive a fork, so a forked process compiles its own engine.
        key = (os.getpid(), settings.engine, device, precision)
        if key not in self._engines:
            check_engine(settings.engine, settings.device, precision)
            self._engines[key] = make_engine(
                partial(self._network_on, device),
                self.preprocess,
                engine=settings.engine,
                device=device,
                precision=precision,
                fingerprint=self.fingerprint,
                quantized=self.quantized,
            )
        return self._engines[key]

    def _network_on(self, device: torch.device) -> nn.Module:
        """Return the network for a device: a copy, because that on the CPU is pickled, exported and compiled."""
        if device.type == "cpu":
            return self.network
        if device not in self._copies:
            self._copies[device] = move(copy.deepcopy(self.network), device)
        return self._copies[device]

    def compute(self, engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features (n, n_features) of resized images (n, image_size, image_size, 3)."""
        with plugin_errors("backbones", self.backbone, "its network"):
            features = engine.compute(pixels)
        check_features(features, self.backbone, len(pixels))
        return features

    def cache_key(self, settings: ComputeSettings) -> str:
        """Return a key that covers everything but the image that features depend on."""
        device, precision = resolve_device(settings.device), settings.precision
        if precision == "int8" and self.quantized is not None:
            precision = hash_content(*self.quantized)
        elif precision == "auto":
            # Machines that share a file of features may choose differently.
            precision = str(resolve_precision(precision, device))
        return f"{self.fingerprint} {resolve_engine(settings.engine, device)} {device.type} {precision}"

    def quantize(self, images: Sequence[RgbImage]) -> None:
        """Quantize the network to int8, calibrated on resized images; raise EngineError if that cannot be done."""
        self.quantized = quantize(self.network, self.preprocess, list(images))
        self._engines.clear()

    def __getstate__(self) -> dict[str, Any]:
        # A pickle must open on a machine without this one's GPU or processor.
        return {**self.__dict__, "_network": self.network, "_build": None, "_engines": {}, "_copies": {}}


def _prepare(network: nn.Module) -> nn.Module:
    return network.eval().to(memory_format=torch.channels_last)


def _identify(network: nn.Module) -> tuple[str, str]:
    """Return the layers of a network and the hash of its weights."""
    return repr(network), hash_weights(network)


def check_features(features: Any, backbone: Backbone, n_images: int) -> None:
    """Raise PluginError unless features are an array or tensor of the right shape with finite values."""
    name = type(backbone).__name__
    shape = tuple(getattr(features, "shape", ()))
    if shape != (n_images, backbone.n_features):
        raise PluginError(
            f"backbone {name}: computed features of shape {shape} for {n_images} images; "
            f"want ({n_images}, {backbone.n_features})."
        )
    # The sum is not finite if any value is not, and takes a tenth of the time of checking each value. Large
    # values may overflow it, so that each one is checked then.
    if not np.isfinite(features.sum()) and not np.isfinite(np.asarray(features)).all():
        raise PluginError(f"backbone {name}: computed NaN or infinite features; want finite ones.")


def check_network(network: nn.Module, backbone: Backbone, image_size: int) -> None:
    """Run a network on two black images; raise PluginError if it fails or its features are invalid."""
    device = next((parameter.device for parameter in network.parameters()), None)
    size = f"images of {image_size} px"
    with plugin_errors("backbones", backbone, "its network", size), torch.inference_mode():
        features = network.eval()(torch.zeros(2, 3, image_size, image_size, device=device))
    check_features(features.float().cpu().numpy() if isinstance(features, torch.Tensor) else features, backbone, 2)


def hash_model(backbone: FittedBackbone, head: Any, classes: NDArray[Any]) -> str | None:
    """Return a content hash of weights, preprocessing and classes; None if the head is not a `TransferHead`."""
    network = getattr(head, "network_", None)
    if network is None:
        return None
    parts = (backbone.weights_sha256, hash_weights(network), backbone.preprocess, classes.tolist())
    return hash_content(repr(parts).encode())
