"""What is measured: images, networks, a model, and how much of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit import _plugins
from maskkit._images.crop import crop_square
from maskkit._images.load import load_image
from maskkit._labels import index_labels
from maskkit._model.classifier import MaskClassifier
from maskkit.backbones._base import Backbone, Weights, build_network
from maskkit.datasets import AnnotatedPhoto
from maskkit.exceptions import WeightsError


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Parameters
    ----------
    n_train : int
        Faces of each training.
    n_predict : int
        Faces of each prediction from disk; fewer if there are no more.
    n_photos : int or None
        Photos; None takes all.
    n_memory : tuple of 2 int
        Predictions whose peaks of memory are compared.
    n_growing : tuple of int
        Numbers of images, each twice the last.
    epochs_tried : tuple of int
        Lengths of training tried until the peer's accuracy is reached.
    n_rounds : int
    """

    n_train: int
    n_predict: int
    n_photos: int | None
    n_memory: tuple[int, int]
    n_growing: tuple[int, ...]
    epochs_tried: tuple[int, ...]
    n_rounds: int


FULL = Sizes(500, 2000, None, (2000, 20_000), (500, 1000, 2000, 4000, 8000), (1, 2, 3, 4, 6, 8), 3)
QUICK = Sizes(16, 32, 6, (64, 256), (16, 32, 64), (1, 2), 1)


@dataclass(frozen=True, slots=True)
class Faces:
    """Files of one face each.

    Parameters
    ----------
    paths : list of Path
    labels : ndarray of shape (n_faces,)
    """

    paths: list[Path]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, part: slice) -> "Faces":
        return Faces(self.paths[part], self.labels[part])


@dataclass(frozen=True, slots=True)
class Network:
    """A backbone by name, and what both sides fill it with."""

    name: str
    backbone: Backbone
    weights: Weights


@dataclass(frozen=True, slots=True)
class Subjects:
    """Everything that rows are measured on.

    Parameters
    ----------
    faces : Faces
    photos : list of AnnotatedPhoto
        May be empty.
    photo_faces : Faces or None
        Cut from the photos, those with labels that `faces` has.
    networks : tuple of Network
    model : MaskClassifier
        Fitted; of the rows that are about no network in particular.
    sizes : Sizes
    folder : Path
        For files that are needed on the way.
    say : callable
        Is told what is being done.
    """

    faces: Faces
    photos: list[AnnotatedPhoto]
    photo_faces: Faces | None
    networks: tuple[Network, ...]
    model: MaskClassifier
    sizes: Sizes
    folder: Path
    say: Callable[[str], None]

    def save_model(self) -> Path:
        """Write the model where other processes can load it."""
        return self.model.save(self.folder / "model")


def find_networks(names: Sequence[str], weights: Weights) -> tuple[tuple[Network, ...], list[str]]:
    """Find backbones; ImageNet weights that cannot be had become random ones on both sides.

    Returns
    -------
    networks : tuple of Network
    notes : list of str
        Which have random weights for that reason.
    """
    networks, notes = [], []
    for name in names:
        backbone, filled = _plugins.resolve("backbones", name), weights
        try:
            build_network(backbone, weights)
        except WeightsError:
            if weights != "imagenet":
                raise
            filled = None
            notes.append(f"{name}: its ImageNet weights cannot be had here; both sides start from random ones.")
        networks.append(Network(name, backbone, filled))
    return tuple(networks), notes


def mix_classes(faces: Faces) -> Faces:
    """Order faces so that the first of them hold every class alike, however few are taken."""
    places = np.empty(len(faces), dtype=np.int64)
    for label in np.unique(faces.labels):
        of_class = faces.labels == label
        places[of_class] = np.arange(of_class.sum())
    order = places.argsort(kind="stable")
    return Faces([faces.paths[index] for index in order], faces.labels[order])


def cut_photo_faces(photos: Sequence[AnnotatedPhoto], labels: NDArray[Any], folder: Path) -> Faces:
    """Cut annotated faces out into files; those whose label is no class among `labels` are left out."""
    classes = np.unique(labels).tolist()
    paths: list[Path] = []
    kept: list[Any] = []
    folder.mkdir()
    for photo in photos:
        image = load_image(photo.path)
        for box, index in zip(photo.boxes_xyxy, index_labels(photo.labels, classes), strict=True):
            if index >= 0:
                paths.append(folder / f"{len(paths)}.png")
                kept.append(classes[index])
                Image.fromarray(crop_square(image, box)).save(paths[-1])
    return Faces(paths, np.array(kept))


def new_classifier(network: Network, **params: Any) -> MaskClassifier:
    """Make an unfitted classifier that remembers nothing of an earlier round."""
    return MaskClassifier(network.backbone, **{"cache": None, "weights": network.weights, "random_state": 0} | params)
