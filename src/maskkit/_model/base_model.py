"""The trained model that a fit goes on from, and how its classes match those of the new labels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from maskkit import _plugins
from maskkit._files.model_folder import TENSOR_FILE
from maskkit._files.pretrained import find_model
from maskkit._labels import match_labels
from maskkit._model.fitted_backbone import FittedBackbone, hash_model
from maskkit._model.head import TransferHead
from maskkit._model.saving import load_model
from maskkit.exceptions import WeightsError


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A trained model that a fit goes on from; the fit changes none of its parts.

    `origin` describes it in what is saved. `folder` is None for a model that was not read from one.
    """

    backbone: Any
    fitted: FittedBackbone
    head: TransferHead
    fine_tuned: bool
    origin: dict[str, Any]
    folder: Path | None

    @classmethod
    def from_classifier(cls, classifier: Any, folder: Path | None = None) -> Self:
        """Return the parts of a fitted MaskClassifier; raise ValueError if its head is not a TransferHead."""
        if not isinstance(classifier.head_, TransferHead):
            raise ValueError(
                f"warm_start=True goes on with a TransferHead, not {type(classifier.head_).__name__}; "
                f"use warm_start=False, or leave head=None."
            )
        fitted = classifier._embedder._fitted
        origin = {
            "name": classifier.model_name_,
            "sha256": hash_model(fitted, classifier.head_, classifier.classes_),
            "classes": classifier.classes_.tolist(),
            "class_counts": classifier.class_counts_.tolist(),
            "history": list(classifier.history_),
            "base": classifier.base_,
        }
        return cls(classifier.backbone, fitted, classifier.head_, classifier.fine_tuned_, origin, folder)

    @property
    def backbone_only(self) -> str:
        """Hint for errors: how to keep only the backbone of the model."""
        if self.folder is None:
            return "begin anew: warm_start=False"
        file = str(self.folder / TENSOR_FILE)
        return f"take only the backbone of the model: backbone={self.backbone!r}, weights={file!r}"


def find_base(classifier: Any, params: Mapping[str, Any]) -> BaseModel | None:
    """Return the model that a fit goes on from: the classifier, or that which `weights` names; None for a new head.

    Raises ModelFileError, WeightsError if it cannot be read, ValueError if backbone or head differ from the parameters.
    """
    if params["warm_start"] and classifier.__sklearn_is_fitted__():
        base, source = BaseModel.from_classifier(classifier), "the fitted model"
    else:
        weights = params["weights"]
        folder, source = find_model(weights), f"weights={str(weights)!r}"
        if folder is None:
            is_path = isinstance(weights, (str, os.PathLike)) and os.path.isabs(weights)
            if is_path and classifier.__sklearn_is_fitted__() and not os.path.exists(weights):
                raise WeightsError(
                    f"{source} is no longer there. Set warm_start=True to go on from this model as it is in memory, or "
                    f"set weights to the new path."
                )
            return None
        loaded = load_model(folder, type(classifier), {"detector": params["detector"]})
        base = BaseModel.from_classifier(loaded, folder)
    _check_backbone(base, params["backbone"], source)
    _check_head(base, params["head"], source)
    return base


def _check_backbone(base: BaseModel, wanted: Any, source: str) -> None:
    backbone, used = _plugins.resolve("backbones", wanted), base.fitted.backbone
    settings: list[dict[str, Any]] = [getattr(plugin, "get_params", dict)() for plugin in (backbone, used)]
    if type(backbone) is not type(used) or settings[0] != settings[1]:
        raise ValueError(
            f"{source} has the backbone {base.backbone!r}, and backbone is {wanted!r}; "
            f"pass backbone={base.backbone!r}, or other weights."
        )


def _check_head(base: BaseModel, wanted: Any, source: str) -> None:
    if wanted is None:
        return
    if not isinstance(wanted, TransferHead):
        raise ValueError(
            f"{source} goes on with a TransferHead, and head is {type(wanted).__name__}; leave head=None, or "
            f"{base.backbone_only}."
        )
    n_units = base.head.network_[1].out_features
    if wanted.hidden_units != n_units:
        raise ValueError(
            f"{source} has {n_units} hidden units, and the head {wanted.hidden_units}; "
            f"pass head__hidden_units={n_units}."
        )


def merge_classes(given: NDArray[Any], base: BaseModel) -> tuple[NDArray[Any], dict[Any, Any]]:
    """Return the sorted classes of a fit that goes on, and the class of the base for those that have one.

    The base's classes stay, under the names of the new labels that mean the same; classes that are new come to them.

    Raises ValueError if the labels and the classes of the base contradict each other.
    """
    known, labels = base.head.classes_.tolist(), given.tolist()
    name = base.origin["name"]
    if isinstance(known[0], str) != isinstance(labels[0], str):
        raise ValueError(
            f"y holds {labels[0]!r} and the classes of {name} are {_list(known)}: numbers and names cannot be matched. "
            f"Label the images with the names of the classes."
        )
    matches = match_labels(labels, known)
    for known_class in known:
        alike = [label for label in labels if matches.get(label) == known_class]
        if len(alike) > 1:
            raise ValueError(
                f"y holds {' and '.join(map(repr, alike))}, which are one class of {name}, {known_class!r}; "
                f"rename one of them."
            )
    if not matches:
        raise ValueError(
            f"y holds {_list(labels)}, and none is a class of {name}, whose classes are {_list(known)}. Rename the "
            f"labels, or {base.backbone_only}."
        )
    kept = [label for label in known if label not in matches.values()]
    return np.unique(np.array([*labels, *kept])), matches


def start_weights(base: BaseModel, classes: NDArray[Any], matches: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    """Return the weights of the base's head, with one row for each of `classes`; the rows of new classes are zero.

    The logit of a new class is then between those of the classes that the base finds and of those that it excludes.
    """
    known = base.head.classes_.tolist()
    named = [matches.get(label, label) for label in classes.tolist()]
    rows = [known.index(name) if name in known else len(known) for name in named]
    weights = {name: tensor.clone() for name, tensor in base.head.network_.state_dict().items()}
    for name in ("3.weight", "3.bias"):
        weights[name] = torch.cat([weights[name], torch.zeros_like(weights[name][:1])])[rows]
    return weights


def _list(labels: list[Any]) -> str:
    return ", ".join(map(repr, labels))
