"""Images, networks and sizes of the measurements."""

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
    """Numbers of images, epochs and rounds.

    Parameters
    ----------
    n_train : int
        Number of faces per training.
    n_predict : int
        Maximum number of faces per prediction from disk.
    n_photos : int or None
        Number of photos; None for all.
    n_memory : tuple of 2 int
        Numbers of predictions whose peak memory is compared, with a tiny network.
    n_growing : tuple of int
        Numbers of images, each twice the one before.
    epochs_tried : tuple of int
        Numbers of epochs that are tried until the peer's accuracy is reached.
    n_rounds : int
    """

    n_train: int
    n_predict: int
    n_photos: int | None
    n_memory: tuple[int, int]
    n_growing: tuple[int, ...]
    epochs_tried: tuple[int, ...]
    n_rounds: int


FULL = Sizes(500, 2000, None, (10_000, 100_000), (500, 1000, 2000, 4000, 8000), (1, 2, 3, 4, 6, 8), 3)
QUICK = Sizes(16, 32, 6, (64, 256), (16, 32, 64), (1, 2), 1)


@dataclass(frozen=True, slots=True)
class Faces:
    """Files of face crops with their labels.

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
    """A backbone, its name and its initial weights."""

    name: str
    backbone: Backbone
    weights: Weights


@dataclass(frozen=True, slots=True)
class Subjects:
    """Data and models that the rows are measured on.

    Parameters
    ----------
    faces : Faces
    photos : list of AnnotatedPhoto
        May be empty.
    photo_faces : Faces or None
        Crops from the photos, of the classes in `faces`.
    networks : tuple of Network
    model : MaskClassifier
        Fitted classifier, for rows that do not train a network.
    sizes : Sizes
    folder : Path
        Folder for temporary files.
    report : callable
        Called with a progress message before each step.
    """

    faces: Faces
    photos: list[AnnotatedPhoto]
    photo_faces: Faces | None
    networks: tuple[Network, ...]
    model: MaskClassifier
    sizes: Sizes
    folder: Path
    report: Callable[[str], None]

    def save_model(self) -> Path:
        """Save the model, so that other processes can load it; return its folder."""
        return self.model.save(self.folder / "model")


def find_networks(names: Sequence[str], weights: Weights) -> tuple[tuple[Network, ...], list[str]]:
    """Find backbones; if ImageNet weights cannot be loaded, both sides use random ones.

    Returns
    -------
    networks : tuple of Network
    notes : list of str
        Messages about backbones with random weights for that reason.
    """
    networks, notes = [], []
    for name in names:
        backbone, used_weights = _plugins.resolve("backbones", name), weights
        try:
            build_network(backbone, weights)
        except WeightsError:
            if weights != "imagenet":
                raise
            used_weights = None
            notes.append(f"{name}: ImageNet weights cannot be loaded here; both sides start from random weights.")
        networks.append(Network(name, backbone, used_weights))
    return tuple(networks), notes


def mix_classes(faces: Faces) -> Faces:
    """Order faces so that the classes alternate, and any number of first faces is balanced."""
    ranks = np.empty(len(faces), dtype=np.int64)
    for label in np.unique(faces.labels):
        of_class = faces.labels == label
        ranks[of_class] = np.arange(of_class.sum())
    order = ranks.argsort(kind="stable")
    return Faces([faces.paths[index] for index in order], faces.labels[order])


def crop_photo_faces(photos: Sequence[AnnotatedPhoto], labels: NDArray[Any], folder: Path) -> Faces:
    """Crop annotated faces into files; faces of other classes than those of `labels` are left out."""
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
    """Return an unfitted classifier without a feature cache, which would keep features of earlier rounds."""
    return MaskClassifier(network.backbone, **{"cache": None, "weights": network.weights, "random_state": 0} | params)
