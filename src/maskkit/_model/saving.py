"""Between a fitted MaskClassifier and its model folder."""

import os
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from maskkit import _plugins
from maskkit._files.model_card import write_card
from maskkit._files.model_folder import ModelConfig, read_model, write_model
from maskkit._images.preprocess import Preprocess
from maskkit._model.embedder import make_embedder
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._training.history import History
from maskkit.backbones._base import build_network
from maskkit.exceptions import ModelFileError, PluginError

# Backbones take some hundred pixels; a picture of a million would be a way to fill anybody's memory.
_LARGEST_PX = 4096

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
            "history": list(classifier.history_),
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
    with _fitting_together(folder):
        # What the caller chooses anew is not made first: its plugin may not be installed here.
        classifier = cls(**_restore_params(config, without=params))
        check_params(classifier)
        classifier.classes_ = _restore_classes(config.classes)
        if "detector" not in params:
            classifier.detector_ = _plugins.resolve("detectors", classifier.detector)
        backbone = _plugins.resolve("backbones", classifier.backbone)
        preprocess = _restore_preprocess(config.preprocess)
        network = build_network(backbone, None)
        network.load_state_dict(_of_part(tensors, "backbone."))
        classifier.head_ = _restore_head(classifier, config, _of_part(tensors, "head."))
        _restore_record(classifier, config.training)
    check_params(classifier.set_params(**params))
    if "detector" in params:
        classifier.detector_ = _plugins.resolve("detectors", classifier.detector)
    embedder = make_embedder(classifier.get_params(deep=False))
    classifier.embedder_ = embedder.adopt(backbone, network.eval(), preprocess)
    classifier.embedder_.quantized_ = int8
    classifier.model_name_ = Path(folder).resolve().name
    return classifier


@contextmanager
def _fitting_together(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever is raised while a model is put together into one error that names it."""
    try:
        yield
    except PluginError as exc:
        raise ModelFileError(f"{folder}: needs what is not here: {exc}") from exc
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as exc:
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}"[:300]
        raise ModelFileError(f"{folder}: does not fit together ({reason}); save the model again.") from exc


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


def _restore_params(config: ModelConfig, *, without: Collection[str]) -> dict[str, Any]:
    plugins: dict[str, Any] = {}
    for group, field in (("backbones", "backbone"), ("detectors", "detector")):
        described = getattr(config, field)
        spec, params = described["spec"], described["params"]
        if field not in without:
            plugins[field] = _plugins.load(group, spec, **params) if params else spec  # type: ignore[arg-type]
    head = {name: value for name, value in _from_plain(config.head).items() if name != "n_features"}
    params = {name: value for name, value in _from_plain(config.params).items() if name not in _OF_THE_MACHINE}
    return {**params, **plugins, "head": TransferHead(**head | {"device": "auto"})}


def _restore_classes(labels: list[Any]) -> NDArray[Any]:
    classes = np.array(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "Uifb" or len(classes) < 2 or classes.tolist() != labels:
        raise ValueError(f"classes are {str(labels)[:80]}, want two or more words or numbers")
    if not np.array_equal(classes, np.unique(classes)):
        raise ValueError(f"classes are {str(labels)[:80]}, want them sorted, each once")
    return classes


def _restore_preprocess(settings: dict[str, Any]) -> Preprocess:
    preprocess = Preprocess(settings["image_size"], tuple(settings["mean"]), tuple(settings["std"]))
    check_scalar(preprocess.image_size, "image_size", int, min_val=8, max_val=_LARGEST_PX)
    for name in ("mean", "std"):
        values = np.array(getattr(preprocess, name), dtype=np.float64)
        if values.shape != (3,) or not np.isfinite(values).all() or (name == "std" and (values <= 0).any()):
            raise ValueError(f"{name} is {values.tolist()}, want three numbers, R, G, B")
    return preprocess


def _restore_head(classifier: Any, config: ModelConfig, tensors: dict[str, torch.Tensor]) -> TransferHead:
    head = TransferHead(**classifier.head.get_params())
    check_params(head)
    head.classes_ = classifier.classes_
    head.n_features_in_ = config.head["n_features"]
    check_scalar(head.n_features_in_, "n_features", int, min_val=1)
    with torch.device("meta"):  # takes no memory, however many units a file speaks of
        network = head.build(head.n_features_in_, len(head.classes_))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    head.network_ = network.eval()
    return head


def _restore_record(classifier: Any, training: dict[str, Any]) -> None:
    """Tell of the training what was told when it ended."""
    counts, history = np.array(training["class_counts"]), training["history"]
    if counts.shape != classifier.classes_.shape or counts.dtype.kind != "i":
        raise ValueError(f"class_counts are {str(training['class_counts'])[:80]}, want a number for each class")
    if not isinstance(history, list) or not isinstance(training["fine_tuned"], bool):
        raise ValueError("history is no list or fine_tuned neither true nor false")
    classifier.class_counts_, classifier.fine_tuned_ = counts, training["fine_tuned"]
    classifier.history_ = classifier.head_.history_ = History(history)


def _of_part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
