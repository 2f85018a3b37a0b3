"""Fitting of a MaskClassifier: its embedder, and its head on the features of a frozen backbone."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import has_fit_parameter

from maskkit._images.load import ImageSource
from maskkit._model.embedder import FaceEmbedder, make_embedder
from maskkit._model.features import FeatureExtractor
from maskkit._model.fitted_backbone import FittedBackbone, check_network
from maskkit._model.head import TransferHead
from maskkit._model.plan import FitPlan, report_images
from maskkit._training.targets import Targets
from maskkit.exceptions import PluginError

# Input size of fits of every layer, in pixels: docs/measurements.md.
FINE_TUNE_SIZE_PX = 160


def fit_embedder(plan: FitPlan, sources: Sequence[ImageSource]) -> FaceEmbedder:
    """Build the embedder of a fit. For a fit of every layer, its input has the size that such fits use, if possible."""
    embedder = make_embedder(plan.params, plan.seed)
    if plan.base is not None:
        return embedder._go_on_from(plan.base.fitted)
    embedder.fit(sources)
    if plan.every_layer and plan.params["image_size"] is None:
        embedder._set_image_size(_choose_image_size(embedder._fitted))
    return embedder


def _choose_image_size(fitted: FittedBackbone) -> int:
    """Return `FINE_TUNE_SIZE_PX` if the network takes it, else the backbone's own size."""
    try:
        check_network(fitted.network, fitted.backbone, FINE_TUNE_SIZE_PX)
    except PluginError:  # Most transformers take one size. If the network is at fault, the check at that size says so.
        return fitted.preprocess.image_size
    return FINE_TUNE_SIZE_PX


def fit_head(plan: FitPlan, extractor: FeatureExtractor, sources: Sequence[ImageSource]) -> Any:
    """Train the head on the features of a frozen backbone; return it."""
    if plan.params["precision"] == "int8":
        extractor.quantize(sources)
    # Early stopping may hold out an image and train on its copy; heads other than TransferHead may hold out rows, too.
    is_transfer_head = isinstance(plan.head, TransferHead)
    holds_out = not is_transfer_head or (plan.head.early_stopping and plan.validation is None)
    with_copies = plan.params["augment"] == "auto" and not holds_out
    report_images(
        plan,
        range(len(sources)),
        lambda row: (extractor.load_view(sources[row], row, is_copy=with_copies), int(plan.targets.indices[row])),
    )
    batches = extractor.extract(sources, with_copies=with_copies)
    targets = plan.targets.repeat(2) if with_copies else plan.targets
    if plan.validation is not None:
        batches = chain(batches, extractor.extract(plan.validation.sources))
        targets = targets.join(plan.validation.targets)
    features = np.concatenate([batch.features for batch in batches])
    if is_transfer_head:
        n_validation = 0 if plan.validation is None else len(plan.validation.sources)
        return plan.head._fit_targets(features, targets, n_validation, plan.callbacks, plan.start)
    return _fit_other_head(plan.head, features, targets)


def _fit_other_head(head: Any, features: NDArray[np.float32], targets: Targets) -> Any:
    """Train a head of scikit-learn's interface; raise ValueError if it takes no weights or learns other classes."""
    name = type(head).__name__
    if targets.sample_weight is None:
        head = head.fit(features, targets.labels)
    elif has_fit_parameter(head, "sample_weight"):
        head = head.fit(features, targets.labels, sample_weight=targets.sample_weight)
    else:
        raise ValueError(f"{name} takes no sample_weight; use another head or leave it out.")
    classes = getattr(head, "classes_", None)
    if not np.array_equal(classes, targets.classes):  # type: ignore[arg-type]
        raise ValueError(
            f"head {name} has classes_ {classes!r} after fit; want the sorted labels, {targets.classes.tolist()}, as "
            f"classifiers of scikit-learn have."
        )
    return head
