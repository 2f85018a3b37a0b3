"""Explanations of predictions by Grad-CAM."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from maskkit._display.drawing import resize_heat
from maskkit._explain.explanation import Explanation, PhotoExplanation
from maskkit._explain.gradcam import find_map_layer, grad_cam
from maskkit._images.crop import crop_square
from maskkit._images.load import ImageSource, RgbImage, load_image
from maskkit._images.prefetch import in_batches
from maskkit._labels import match_labels
from maskkit._model.head import TransferHead
from maskkit._model.results import PhotoResult
from maskkit.engines._devices import DEFAULT_BATCH_SIZE, resolve_device

if TYPE_CHECKING:
    from maskkit._model.classifier import MaskClassifier
    from maskkit._model.predictor import FacePredictor


def explain(classifier: "MaskClassifier", image: ImageSource, *, label: Any = None) -> Explanation:
    """Compute a Grad-CAM heat map of a face crop: the regions that support a class.

    Parameters
    ----------
    classifier : MaskClassifier
        Fitted classifier with a convolutional backbone and a `TransferHead`. It is not changed.
    image : image
        Face crop.
    label : str or int, optional
        Class to explain; by default the predicted class.

    Returns
    -------
    explanation : Explanation

    Raises
    ------
    ValueError
        If the head is not a `TransferHead`, the backbone has no final feature map, or `label` is not a class
        of the classifier.
    ImageError
        If the image cannot be read.

    Notes
    -----
    Source: Selvaraju et al. 2017, ICCV (arXiv:1610.02391), as computed by captum. The resolution is that of the
    last feature map of the backbone, 5 x 5 for an input of 160 px; `heat` is interpolated.

    Examples
    --------
    >>> from maskkit import MaskClassifier, explain
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(20, random_state=0)
    >>> model = MaskClassifier("efficientnet_lite0", image_size=64, fine_tune=False).fit(faces, labels)
    >>> explanation = explain(model, faces[0])
    >>> explanation.label, explanation.heat.shape
    ('with_mask', (64, 64))
    """
    predictor = _check_explainable(classifier)
    crop = load_image(image)
    proba = predictor.predict_proba([crop])
    return _explain_crops(predictor, [crop], proba, label)[0]


def explain_faces(
    classifier: "MaskClassifier", photo: ImageSource | PhotoResult, *, label: Any = None
) -> PhotoExplanation:
    """Detect the faces of a photo and compute a Grad-CAM heat map of each.

    Parameters
    ----------
    classifier : MaskClassifier
        Classifier as in `explain`.
    photo : image or PhotoResult
        Photo with any number of faces, or the result of `predict_faces` of this classifier.
    label : str or int, optional
        Class to explain; by default the predicted class of each face.

    Returns
    -------
    explanation : PhotoExplanation

    Raises
    ------
    ValueError
        As in `explain`.
    ImageError
        If the photo cannot be read.
    """
    predictor = _check_explainable(classifier)
    if not isinstance(photo, PhotoResult):
        photo = predictor.read_photo(photo)
    image = load_image(photo.source, name=photo.name)
    if not photo.faces:
        return PhotoExplanation(photo, ())
    crops = [crop_square(image, face.box) for face in photo]
    proba = np.array([[face.probabilities[name] for name in predictor.classes.tolist()] for face in photo])
    return PhotoExplanation(photo, _explain_crops(predictor, crops, proba, label))


def _check_explainable(classifier: "MaskClassifier") -> "FacePredictor":
    """Return the predictor of a classifier; raise ValueError if its head has no gradients."""
    check_is_fitted(classifier)
    head = getattr(classifier, "head_", None)
    if not isinstance(head, TransferHead):
        raise ValueError(
            f"{type(classifier).__name__} has the head {type(head).__name__}, which has no gradients; explain needs "
            f"a TransferHead. Fit a MaskClassifier with head=None."
        )
    return classifier.predictor_


def _explain_crops(
    predictor: "FacePredictor", crops: list[RgbImage], proba: NDArray[np.floating[Any]], label: Any
) -> tuple[Explanation, ...]:
    classes = predictor.classes.tolist()
    targets = [_index_of(label, classes)] * len(crops) if label is not None else proba.argmax(axis=-1).tolist()
    settings, fitted = predictor.embedder.settings, predictor.embedder.backbone
    device = resolve_device(settings.device)
    # Copies, because prediction expects the networks on their devices and in their modes.
    backbone = fitted.network if device.type == "cpu" else copy.deepcopy(fitted.network).to(device)
    head = copy.deepcopy(predictor.head.network_).to(device).eval()
    preprocess = fitted.preprocess
    layer = find_map_layer(backbone, preprocess.image_size)
    explanations: list[Explanation] = []
    for batch in in_batches(zip(crops, targets, proba, strict=True), settings.batch_size or DEFAULT_BATCH_SIZE):
        pixels = preprocess.normalize(np.stack([preprocess.load(crop) for crop, _, _ in batch]), device)
        maps = grad_cam(backbone, head, layer, pixels, [target for _, target, _ in batch])
        for (crop, target, row), heat in zip(batch, maps, strict=True):
            heat = resize_heat(heat, (crop.shape[1], crop.shape[0]))
            explanations.append(Explanation(crop, heat, classes[target], float(row[target]), layer))
    return tuple(explanations)


def _index_of(label: Any, classes: list[Any]) -> int:
    matches = match_labels([label], classes)
    if label not in matches:
        raise ValueError(f"label={label!r} is not a class of this model; use one of {', '.join(map(repr, classes))}.")
    return classes.index(matches[label])
