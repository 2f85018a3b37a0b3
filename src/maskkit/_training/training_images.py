"""How training images look from one epoch to the next."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskkit._images.load import ImageSource, RgbImage, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._images.preprocess import Augment, Preprocess
from maskkit._training.processes import Processes
from maskkit.augment._landmarks import find_points
from maskkit.augment._painter import Painter
from maskkit.detectors._base import Detector
from maskkit.detectors._locate import crop_to_face


class Locator(Protocol):
    """What views need of a fitted `FaceEmbedder`."""

    preprocess_: Preprocess
    detector_: Detector

    def small_face(self, image: RgbImage) -> NDArray[np.float32] | None:
        """Find the face that is to be cut out of a picture; None if it is taken whole."""
        ...


class TrainingViews:
    """Gives each training image anew in each epoch: cut, painted, worn down, resized.

    Each image of each epoch has random numbers of its own, so that the order in which threads finish
    changes nothing. What a detector found is kept.

    Parameters
    ----------
    embedder : FaceEmbedder
    sources : sequence of n_images images
    targets : ndarray of shape (n_images,), int64
        Index of the class.
    augment : callable, optional
    painter : Painter, optional
    seed : int
    """

    def __init__(
        self,
        embedder: Locator,
        sources: Sequence[ImageSource],
        targets: NDArray[np.int64],
        *,
        augment: Augment | None,
        painter: Painter | None,
        seed: int,
    ):
        self.embedder = embedder
        self.sources = sources
        self.targets = targets
        self.augment = augment
        self.painter = painter
        self.seed = seed
        self._boxes: dict[int, NDArray[np.float32] | None] = {}
        self._landmarks: dict[int, NDArray[np.float32] | None] = {}

    def load(self, item: tuple[int, int | None]) -> tuple[RgbImage, int]:
        """Give the pixels of (row, epoch) and the class that they show; epoch None leaves them as they are."""
        row, epoch = item
        target = int(self.targets[row])
        image = self._open(row)
        if epoch is not None:
            rng = np.random.default_rng((self.seed, epoch, row))
            if self.painter is not None and target in (self.painter.bare, self.painter.masked):
                landmarks = self._find(row, image)
                # Where no face is found, what was painted might lie beside it.
                if landmarks is not None:
                    image, target = self.painter.paint(image, landmarks, target, rng)
            if self.augment is not None:
                image = self.augment(image, rng)
        return self.embedder.preprocess_.resize(image), target

    def balance(
        self, rows: NDArray[np.int64], weights: NDArray[np.float32], processes: Processes | None = None
    ) -> NDArray[np.float32]:
        """Look for the bare faces of rows; give what each class's weight is to be multiplied by, (n_classes,).

        Painting turns some faces of one class into another's; so each class counts as much as before.
        Several processes share the looking.
        """
        processes = processes or Processes()
        mass = np.bincount(self.targets, weights=weights)
        if self.painter is None:
            return np.ones(len(mass), dtype=np.float32)
        bare = [int(row) for row in processes.share(rows) if self.targets[row] == self.painter.bare]
        for _ in prefetch_map(self._look, bare):
            pass
        paintable = sum(float(weights[row]) for row in bare if self._landmarks[row] is not None)
        (paintable,) = processes.sum_floats([paintable])
        return self.painter.balance(mass, paintable).astype(np.float32)

    def _look(self, row: int) -> None:
        self._find(row, self._open(row))

    def _open(self, row: int) -> RgbImage:
        """Give the face, always of the same size: boxes and landmarks hold for that."""
        source = self.sources[row]
        image = self.embedder.preprocess_.decode(source, name=name_source(source, row))
        if row not in self._boxes:
            self._boxes[row] = self.embedder.small_face(image)
        return crop_to_face(image, self._boxes[row])

    def _find(self, row: int, face: RgbImage) -> NDArray[np.float32] | None:
        if row not in self._landmarks:
            self._landmarks[row] = find_points(face, self.embedder.detector_)
        return self._landmarks[row]
