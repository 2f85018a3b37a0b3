"""Between a fitted MaskClassifier and its model folder."""

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from maskkit import _plugins
from maskkit._card import write_card
from maskkit._embedder import FaceEmbedder, make_embedder
from maskkit._head import TransferHead
from maskkit._model_folder import CONFIG_FILE, ModelConfig, read_model, write_model
from maskkit._preprocess import Preprocess
from maskkit.exceptions import ModelFileError

Network = TypeVar("Network", bound=nn.Module)

_PRETRAINED = Path(__file__).parent / "pretrained"

# Parameters that say nothing of the model, but of the machine that it was trained on.
_OF_THE_MACHINE = ("device", "engine", "cache", "batch_size", "checkpoint", "verbose")

# Parameters that say how to predict, which whoever loads a model may choose anew.
_PREDICTION_PARAMETERS = ("detector", "threshold", "min_size_px", "precision", *_OF_THE_MACHINE)


def save(classifier: Any, folder: str | os.PathLike[str], *, half: bool) -> Path:
    """Write a fitted MaskClassifier; see `MaskClassifier.save`."""
    config, tensors = describe(classifier)
    name = Path(folder).name
    return write_model(
        folder, config, tensors, half=half, card=write_card(name, config), int8=classifier.embedder_.quantized_
    )


def describe(classifier: Any) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """Give all that makes up a fitted MaskClassifier.

    Raises
    ------
    ModelFileError
        If it has a part that no file could hold.
    """
    head, embedder = classifier.head_, classifier.embedder_
    if not isinstance(head, TransferHead):
        raise ModelFileError(
            f"{type(head).__name__} has no file format but pickle, and pickles run code; train a TransferHead, "
            f"or keep the model with joblib where you trust the file."
        )
    config = ModelConfig(
        classes=classifier.classes_.tolist(),
        backbone=_describe("backbones", classifier.backbone, embedder.backbone_),
        head=_to_plain("head", head.get_params() | {"n_features": head.n_features_in_}),
        preprocess=asdict(embedder.preprocess_),
        detector=_describe("detectors", classifier.detector, classifier.detector_),
        params=_plain_params(classifier),
        training={
            "class_counts": classifier.class_counts_.tolist(),
            "history": classifier.history_,
            "fine_tuned": classifier.fine_tuned_,
            "versions": {name: version(name) for name in ("maskkit", "torch", "torchvision", "timm")},
            "python": platform.python_version(),
        },
    )
    tensors = {f"backbone.{name}": tensor for name, tensor in embedder.network_.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.network_.state_dict().items()}
    return config, tensors


def load(cls: Any, folder: str | os.PathLike[str], **params: Any) -> Any:
    """Read a fitted MaskClassifier; see `MaskClassifier.load`."""
    unknown = sorted(set(params) - set(_PREDICTION_PARAMETERS))
    if unknown:
        raise ValueError(
            f"load() cannot change {', '.join(unknown)}: the model is trained; "
            f"it takes {', '.join(_PREDICTION_PARAMETERS)}."
        )
    config, tensors, int8 = read_model(folder)
    try:
        classifier = cls(**_restore_params(config) | params)
        classifier.classes_ = np.array(config.classes)
        classifier.detector_ = _plugins.resolve("detectors", classifier.detector)
        classifier.embedder_ = _load_embedder(classifier, config, tensors)
        classifier.embedder_.quantized_ = int8
        classifier.head_ = _load_head(classifier, config, tensors)
        classifier.history_ = config.training["history"]
        classifier.fine_tuned_ = config.training["fine_tuned"]
        classifier.class_counts_ = np.array(config.training["class_counts"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as exc:
        raise ModelFileError(f"{folder}: does not fit together ({exc}); save the model again.") from exc
    classifier.model_name_ = Path(folder).resolve().name
    return classifier


def list_pretrained() -> list[str]:
    """List the models that ship with the package."""
    return sorted(folder.name for folder in _PRETRAINED.iterdir() if (folder / CONFIG_FILE).is_file())


def find_pretrained(name: str) -> Path:
    """Find the folder of a model that ships with the package.

    Raises
    ------
    ModelFileError
        If there is none of that name; the message lists them.
    """
    if name not in list_pretrained():
        raise ModelFileError(
            f"{name!r} is no folder and no model that ships with maskkit; there are: {', '.join(list_pretrained())}."
        )
    return _PRETRAINED / name


def _describe(group: _plugins.Group, given: Any, resolved: Any) -> dict[str, Any]:
    """Describe a plugin so that `_plugins.load` can make it again."""
    if isinstance(given, str):
        return {"spec": given, "params": {}}
    params = resolved.get_params() if hasattr(resolved, "get_params") else {}
    if not params and vars(resolved):
        raise ModelFileError(
            f"{type(resolved).__name__} has settings but no get_params(), so that it could not be made again; "
            f"derive it from sklearn.base.BaseEstimator, or pass it by name."
        )
    return {"spec": _plugins.name_of(group, resolved), "params": _to_plain(group[:-1], params)}


def _plain_params(classifier: Any) -> dict[str, Any]:
    """Give the parameters that JSON can hold; plugins and head have fields of their own."""
    params = classifier.get_params(deep=False)
    for name in ("backbone", "detector", "head", *_OF_THE_MACHINE):
        del params[name]
    # Functions and random states cannot be written down; a refit then takes the default.
    if callable(params["augment"]):
        del params["augment"]
    return _to_plain("classifier", params)


def _to_plain(owner: str, params: dict[str, Any]) -> dict[str, Any]:
    """Give parameters as JSON can hold them, a dict as pairs, since its keys may be numbers."""
    plain: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        elif isinstance(value, np.random.RandomState):
            value = None
        elif isinstance(value, dict):
            pairs = [(getattr(key, "item", lambda key=key: key)(), float(weight)) for key, weight in value.items()]
            value = {"pairs": pairs}
        if not (value is None or isinstance(value, (str, int, float, bool, dict, list, tuple))):
            raise ModelFileError(f"{owner}: {name}={value!r} cannot be written to a model; use numbers and words.")
        plain[name] = value
    return plain


def _from_plain(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dict(value["pairs"]) if isinstance(value, dict) and "pairs" in value else value
        for name, value in params.items()
    }


def _restore_params(config: ModelConfig) -> dict[str, Any]:
    plugins: dict[str, Any] = {}
    for group, field in (("backbones", "backbone"), ("detectors", "detector")):
        described = getattr(config, field)
        spec, params = described["spec"], described["params"]
        plugins[field] = _plugins.load(group, spec, **params) if params else spec  # type: ignore[arg-type]
    head = {name: value for name, value in _from_plain(config.head).items() if name != "n_features"}
    params = {name: value for name, value in _from_plain(config.params).items() if name not in _OF_THE_MACHINE}
    return {**params, **plugins, "head": TransferHead(**head | {"device": "auto"})}


def _load_embedder(classifier: Any, config: ModelConfig, tensors: dict[str, torch.Tensor]) -> FaceEmbedder:
    backbone = _plugins.resolve("backbones", classifier.backbone)
    settings = config.preprocess
    preprocess = Preprocess(settings["image_size"], tuple(settings["mean"]), tuple(settings["std"]))
    network = _fill(backbone.build(None), tensors, "backbone.")
    return make_embedder(classifier.get_params(deep=False)).adopt(backbone, network, preprocess)


def _load_head(classifier: Any, config: ModelConfig, tensors: dict[str, torch.Tensor]) -> TransferHead:
    head = TransferHead(**classifier.head.get_params())
    head.classes_ = classifier.classes_
    head.n_features_in_ = config.head["n_features"]
    head.network_ = _fill(head.build(head.n_features_in_, len(head.classes_)), tensors, "head.")
    head.history_ = config.training["history"]
    return head


def _fill(network: Network, tensors: dict[str, torch.Tensor], prefix: str) -> Network:
    state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(state)
    return network.eval()
