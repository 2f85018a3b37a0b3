"""Saving and loading of fitted models."""

import os
import platform
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit import _plugins
from maskkit._checks.numbers import check_int, convert_numbers
from maskkit._display.tables import Estimate, to_markdown, to_plain
from maskkit._files.model_card import write_card
from maskkit._files.model_folder import ModelConfig, read_model, write_model
from maskkit._files.pretrained import name_model
from maskkit._files.tensors import Shapes, check_weights, shapes_of
from maskkit._images.preprocess import make_preprocess
from maskkit._model.embedder import make_embedder
from maskkit._model.face_density import FaceDensity
from maskkit._model.fitted_backbone import FittedBackbone
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._model.predictor import FacePredictor
from maskkit._text import escape_text
from maskkit._training.history import History
from maskkit.backbones._base import build_network, describe_network
from maskkit.detectors._heatmap import HeatmapDetector
from maskkit.exceptions import ModelFileError, PluginError
from maskkit.reporters._base import Report

Value = TypeVar("Value")

# Backbones take a few hundred pixels. A file that asks for a million could fill the memory.
_MAX_IMAGE_SIZE = 4096

_PLUGIN_FIELDS: tuple[tuple[_plugins.Group, str], ...] = (("backbones", "backbone"), ("detectors", "detector"))

# Metrics and Markdown tables of evaluations, by the names of their data, as `training` holds them.
NO_EVALUATIONS: dict[str, dict[str, Any]] = {"evaluation": {}, "evaluation_tables": {}}

# Parameters that describe the machine that trained the model, and are not saved.
_MACHINE_PARAMETERS = ("device", "engine", "cache", "batch_size", "checkpoint", "verbose", "callbacks")

# Parameters that concern prediction; `load` accepts new values for them.
_LOAD_PARAMETERS = ("detector", "threshold", "min_size_px", "precision", "warm_start", *_MACHINE_PARAMETERS)

# Parameters of training that a loaded model has by default again: how it was trained says little about how to go on.
_TRAINING_PARAMETERS = (
    *("weights", "fine_tune", "epochs", "learning_rate", "gradient_accumulation_steps", "class_weight", "augment"),
    *("early_stopping", "validation_fraction"),
)

# Parameters whose changes a fitted classifier follows; those of the machine that only training uses change no model.
PREDICTION_PARAMETERS = (*_LOAD_PARAMETERS, "find_face")


def save_model(
    folder: str | os.PathLike[str],
    predictor: FacePredictor,
    params: dict[str, Any],
    training: dict[str, Any],
    *,
    half: bool,
) -> Path:
    """Write a predictor with its parameters and record of training; raise ModelFileError if that cannot be done."""
    backbone, head = predictor.embedder.backbone, predictor.head
    if not isinstance(head, TransferHead):
        raise ModelFileError(
            f"{type(head).__name__} has no file format but pickle, and pickles run code; train a TransferHead, "
            f"or keep the model with joblib where you trust the file."
        )
    config = ModelConfig(
        classes=predictor.classes.tolist(),
        backbone=_describe_plugin("backbones", params["backbone"], backbone.backbone),
        head=_to_plain("head", head.get_params() | {"n_features": head.n_features_in_}),
        preprocess=asdict(backbone.preprocess),
        detector=_describe_plugin("detectors", params["detector"], predictor.detector),
        params=_plain_params(params),
        training={
            **training,
            "versions": {name: version(name) for name in ("maskkit", "torch", "torchvision", "timm")},
            "python": platform.python_version(),
        },
    )
    tensors = {f"backbone.{name}": tensor for name, tensor in backbone.network.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.network_.state_dict().items()}
    if predictor.density is not None:
        tensors |= {f"density.{name}": tensor for name, tensor in predictor.density.to_tensors().items()}
    card = write_card(Path(folder).name, config)
    return write_model(folder, config, tensors, half=half, card=card, int8=backbone.quantized)


def check_evaluation(evaluation: Any) -> None:
    """Raise TypeError if this is not a dict from names of data to evaluations."""
    if evaluation is None:
        return
    if not isinstance(evaluation, Mapping):
        evaluation = {None: evaluation}
    for name, report in evaluation.items():
        if not isinstance(name, str) or not hasattr(report, "metrics"):
            got = f"{'' if name is None else f'has {name!r} '}of type {type(report).__name__}"
            raise TypeError(
                f"evaluation {got}; want a dict from the name of the data to what evaluate() returned, such as "
                "{'entrance, March': evaluation}."
            )


def describe_evaluations(kept: Mapping[str, Any], evaluation: Mapping[str, Report]) -> dict[str, Any]:
    """Return metrics and tables by the names of data, after those `kept` of a loaded model, for `training`."""
    metrics, tables = dict(kept["evaluation"]), dict(kept["evaluation_tables"])
    for name, report in evaluation.items():
        metrics[name] = to_plain(report.metrics())
        # The tables with intervals; the others show single faces and their files.
        shown = [table for table in report.tables() if any(isinstance(cell, Estimate) for cell in chain(*table.rows))]
        tables[name] = "\n\n".join([f"### {escape_text(name)}", *map(to_markdown, shown)])
    return {"evaluation": metrics, "evaluation_tables": tables}


def load_model(
    folder: str | os.PathLike[str], estimator_class: type[Any], overrides: dict[str, Any], name: str | None = None
) -> Any:
    """Read a saved model; return a fitted `estimator_class`, where `overrides` replace saved parameters.

    The name of the model is by default that of the folder.

    Raises ModelFileError if a file is missing or damaged; ValueError if an override does not concern prediction.
    """
    unknown = sorted(set(overrides) - set(_LOAD_PARAMETERS))
    if unknown:
        raise ValueError(
            f"load() cannot change {', '.join(unknown)}, because the model is trained; "
            f"it takes {', '.join(_LOAD_PARAMETERS)}."
        )
    config, tensors, int8 = read_model(folder, partial(_check_parts, folder, without=overrides))
    # The checksums reveal damage, not intent: a file may state anything, so each part is checked before it is used.
    with _rebuild_errors(folder):
        # A detector that is overridden is not built first, because its plugin may not be installed here.
        estimator = estimator_class(**_restore_params(config, without=overrides))
        check_params(estimator)
        estimator.classes_ = _restore_classes(config.classes)
        if "detector" not in overrides:
            estimator.detector_ = _plugins.resolve("detectors", estimator.detector)
        backbone = _plugins.resolve("backbones", estimator.backbone)
        image_size, mean, std = (config.preprocess[name] for name in ("image_size", "mean", "std"))
        preprocess = make_preprocess(check_int(image_size, "image_size", 8, _MAX_IMAGE_SIZE), mean, std)
        network = build_network(backbone, None)
        network.load_state_dict(_select(tensors, "backbone."))
        estimator.head_ = _restore_head(config, estimator.classes_, _select(tensors, "head."))
        evaluations = _restore_training(estimator, config.training)
    estimator.set_params(**overrides)
    check_params(estimator)
    if "detector" in overrides:
        estimator.detector_ = _plugins.resolve("detectors", estimator.detector)
    # A clone of the model, which is not fitted, goes on from it as the model itself does.
    estimator.weights = name_model(folder)
    fitted = FittedBackbone(backbone, network, preprocess, int8)
    estimator._embedder = make_embedder(estimator.get_params(deep=False))._set_backbone(fitted)
    saved = _from_plain(config.params)
    trained_with = {name: saved[name] for name in _TRAINING_PARAMETERS if name in saved}
    estimator._finish_fit(name or Path(folder).resolve().name, trained_with)
    estimator._evaluations = evaluations
    estimator._density = FaceDensity.from_tensors(_select(tensors, "density."))
    return estimator


def _check_parts(
    folder: str | os.PathLike[str], config: ModelConfig, shapes: Shapes, *, without: Collection[str]
) -> None:
    """Raise ModelFileError if plugins are missing, or weights do not fit the network, which is built without memory."""
    with _rebuild_errors(folder):
        _check_plugins_installed(config, without=without)
        described = config.backbone
        backbone = describe_network(_plugins.load("backbones", described["spec"], **described["params"]))
        head = _build_empty(_make_head(config), config, _restore_classes(config.classes))
        wanted = {f"head.{name}": shape for name, shape in shapes_of(head).items()}
        density = FaceDensity.wanted_shapes(_select(shapes, "density."), wanted["head.1.weight"][1])
        wanted |= {f"density.{name}": shape for name, shape in density.items()}
        if backbone is None:  # only the network itself can tell
            shapes = {name: shape for name, shape in shapes.items() if not name.startswith("backbone.")}
        else:
            wanted |= {f"backbone.{name}": shape for name, shape in backbone.items()}
        check_weights(wanted, shapes, str(described["spec"]))


def _check_plugins_installed(config: ModelConfig, *, without: Collection[str]) -> None:
    """Raise PluginError if plugins of a model are not installed; the message names all of them."""
    missing = {}
    for group, field in _PLUGIN_FIELDS:
        described = getattr(config, field)
        name = described["spec"].partition(":")[0]
        if field not in without and name not in _plugins.names(group):
            package = described.get("package")  # Models of earlier versions do not state it.
            missing[field] = f"{field} {name!r} is unknown" + (f" (it is of the package {package})" if package else "")
    if missing:
        other = ", or pass another detector=" if list(missing) == ["detector"] else ""
        raise PluginError(f"{'; '.join(missing.values())}. Install the package{other}.")


@contextmanager
def _rebuild_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Re-raise any error of rebuilding a model as ModelFileError that names its folder."""
    try:
        yield
    except PluginError as exc:
        raise ModelFileError(f"{folder}: needs a plugin that is not available: {exc}") from exc
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as exc:
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}"[:300]
        raise ModelFileError(f"{folder}: its parts do not match ({reason}); save the model again.") from exc


def _describe_plugin(group: _plugins.Group, given: Any, resolved: Any) -> dict[str, Any]:
    """Return a description from which `_plugins.load` can rebuild a plugin."""
    if isinstance(given, str):
        return {"spec": given, "params": {}, "package": _plugins.provider(group, given.partition(":")[0])}
    params = resolved.get_params() if hasattr(resolved, "get_params") else {}
    if not params and vars(resolved):
        raise ModelFileError(
            f"{type(resolved).__name__} has settings but no get_params(), so it cannot be rebuilt; "
            f"derive it from sklearn.base.BaseEstimator, or pass it by name."
        )
    if isinstance(resolved, HeatmapDetector):  # which device computes is a matter of the machine
        params = {name: value for name, value in params.items() if name not in ("device", "n_threads")}
    name = _plugins.name_of(group, resolved)
    return {"spec": name, "params": _to_plain(group[:-1], params), "package": _plugins.provider(group, name)}


def check_plugins_named(backbone: Any, detector: Any) -> None:
    """Warn if a model with these plugins can be used, but not saved, because they have no name to load them by."""
    for (group, _), plugin in zip(_PLUGIN_FIELDS, (backbone, detector), strict=True):
        # Fakes for tests are not to be saved.
        if isinstance(plugin, str) or type(plugin).__module__ == "maskkit.testing":
            continue
        try:
            _plugins.name_of(group, plugin)
        except PluginError as exc:
            warnings.warn(str(exc), stacklevel=3)


def _plain_params(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that JSON can hold; plugins and head are described separately."""
    skipped = {"backbone", "detector", "head", "validation_data", *_MACHINE_PARAMETERS}
    if callable(params["augment"]):
        skipped.add("augment")  # a function cannot be stored; a refit then uses the default
    if isinstance(params["weights"], (str, os.PathLike)):
        params = {**params, "weights": Path(params["weights"]).name}  # folders may tell who trained the model
    return _to_plain("classifier", {name: value for name, value in params.items() if name not in skipped})


def _to_plain(owner: str, params: dict[str, Any]) -> dict[str, Any]:
    """Convert parameters to JSON values; a dict becomes pairs, because its keys may be numbers."""
    plain: dict[str, Any] = {}
    for name, value in params.items():
        value = convert_numbers(value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        elif isinstance(value, np.random.RandomState):
            value = None
        elif isinstance(value, dict):
            value = {"pairs": list(value.items())}
        if not (value is None or isinstance(value, (str, int, float, bool, dict, list, tuple))):
            raise ModelFileError(f"{owner}: {name}={value!r} cannot be stored in a model; use numbers and strings.")
        plain[name] = value
    return plain


def _from_plain(params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dict(value["pairs"]) if isinstance(value, dict) and "pairs" in value else value
        for name, value in params.items()
    }


def _restore_params(config: ModelConfig, *, without: Collection[str]) -> dict[str, Any]:
    plugins: dict[str, Any] = {}
    for group, field in _PLUGIN_FIELDS:
        described = getattr(config, field)
        spec, params = described["spec"], described["params"]
        if spec == "centerface" and "long_side_px" in params:  # of versions that searched one scale
            params = {"long_sides_px" if name == "long_side_px" else name: params[name] for name in params}
        if field not in without:
            plugins[field] = _plugins.load(group, spec, **params) if params else spec
    left_out = (*_MACHINE_PARAMETERS, *_TRAINING_PARAMETERS)
    params = {name: value for name, value in _from_plain(config.params).items() if name not in left_out}
    head = _make_head(config)
    return {**params, **plugins, "head": TransferHead(head.hidden_units, head.dropout, patience=head.patience)}


def _make_head(config: ModelConfig) -> TransferHead:
    params = {name: value for name, value in _from_plain(config.head).items() if name != "n_features"}
    return TransferHead(**params | {"device": "auto"})


def _restore_classes(labels: list[Any]) -> NDArray[Any]:
    classes = np.array(labels)
    is_plain = classes.ndim == 1 and classes.dtype.kind in "Uifb" and len(classes) >= 2 and classes.tolist() == labels
    if not is_plain or not np.array_equal(classes, np.unique(classes)):
        raise ValueError(f"classes are {str(labels)[:80]}, want two or more strings or numbers, sorted and unique")
    return classes


def _restore_head(config: ModelConfig, classes: NDArray[Any], tensors: dict[str, torch.Tensor]) -> TransferHead:
    head = _make_head(config)
    network = _build_empty(head, config, classes)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    head.classes_, head.network_ = classes, network.eval()
    head.n_features_in_ = tensors["1.weight"].shape[1]
    head._remember_params()
    return head


def _build_empty(head: TransferHead, config: ModelConfig, classes: NDArray[Any]) -> nn.Sequential:
    """Return the network of a head without memory for its weights, however many units the file states."""
    check_params(head)
    n_features = check_int(config.head["n_features"], "n_features", 1)
    with torch.device("meta"):
        return head._build(n_features, len(classes))


def _restore_training(estimator: Any, training: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Set what a classifier records of its training; return the evaluations that were saved with it.

    Models of earlier versions state neither a base nor evaluations.
    """
    stored, history, fine_tuned = (training[name] for name in ("class_counts", "history", "fine_tuned"))
    counts, base = np.array(stored), training.get("base")
    if counts.shape != (len(estimator.classes_),) or counts.dtype.kind != "i":
        raise ValueError(f"class_counts are {str(stored)[:80]}, want one number per class")
    if not isinstance(history, list) or not isinstance(fine_tuned, bool):
        raise ValueError("history is not a list, or fine_tuned is neither true nor false")
    if base is not None and not (isinstance(base, dict) and {"name", "sha256", "base"} <= base.keys()):
        raise ValueError(f"base is {str(base)[:80]}, want null or an object with name, sha256 and base")
    evaluations = {name: training.get(name, {}) for name in NO_EVALUATIONS}
    are_objects = all(isinstance(part, dict) for part in evaluations.values())
    if not are_objects or not all(isinstance(text, str) for text in evaluations["evaluation_tables"].values()):
        raise ValueError("evaluation or evaluation_tables is no object, or a table is no text")
    estimator.class_counts_, estimator.fine_tuned_, estimator.base_ = counts, fine_tuned, base
    restores_best = bool(estimator.head_.early_stopping)
    for owner in (estimator, estimator.head_):
        owner.history_ = History(history, estimator.classes_.tolist(), restores_best=restores_best)
    return evaluations


def _select(values: dict[str, Value], prefix: str) -> dict[str, Value]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
