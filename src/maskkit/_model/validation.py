"""Validation images of a fit that the user gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskkit._images.annotated import are_photos, read_labeled_faces
from maskkit._images.load import ImageSource
from maskkit._model.head import TransferHead
from maskkit._training.targets import Targets


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Images on which the model is measured after each epoch, and their labels and weights."""

    sources: Sequence[ImageSource]
    targets: Targets


def read_validation(data: Any, fraction: float | None, targets: Targets, head: TransferHead) -> ValidationSet | None:
    """Check the parameter `validation_data` and encode its labels as those of training; None if there is none.

    `fraction` is the parameter `validation_fraction` of the classifier. Raises TypeError, ValueError if the data are
    neither a pair of images and labels nor annotated photos, have a class that training has not, or a fraction is to be
    held out, too.
    """
    if data is None:
        return None
    if fraction is not None or head.validation_fraction != TransferHead().validation_fraction:
        raise ValueError(
            "validation_data and validation_fraction exclude each other: early stopping uses the images of the one, or "
            "holds out the other; leave one of them out."
        )
    if are_photos(data):
        data = (data, None)
    elif not isinstance(data, tuple) or len(data) != 2:
        shown = f"a tuple of {len(data)}" if isinstance(data, tuple) else f"of type {type(data).__name__}"
        raise TypeError(f"validation_data is {shown}; want a tuple (images, labels), or annotated photos.")
    try:
        faces = read_labeled_faces(data[0], data[1], "validation_data")
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"validation_data: {exc}") from exc
    return ValidationSet(faces.sources, targets.encode_more(faces.labels, head.class_weight, "validation_data"))
