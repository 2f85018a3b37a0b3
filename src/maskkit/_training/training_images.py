"""Training images: decoded and cropped once, painted, augmented and resized anew in each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from maskkit._images.load import ImageSource, RgbImage, load_image, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._images.preprocess import Augment, Preprocess
from maskkit._training.distributed import World
from maskkit.augment._camera import shrink_face
from maskkit.augment._camera_batch import N_DRAWS, augment_faces
from maskkit.augment._landmarks import find_points
from maskkit.augment._random_painting import RandomPainting
from maskkit.detectors._face_finder import FaceFinder, crop_to_face

# Decoded crops that are kept for later epochs: about 9,000 of 200 px.
_MAX_KEPT_BYTES = 2**30


@dataclass(eq=False)
class TrainingImages:
    """Load, crop, paint, augment and resize one training image.

    Each image of each epoch has its own random numbers, so the order in which threads finish changes nothing.
    `targets` are class indices (n_images,) below `n_classes`, not each of which needs an image. With `find_face`,
    pictures that show more than a face are cropped to it. Boxes, landmarks, which painting needs, and as many of the
    crops as have room are kept for later epochs. With `for_device`, the images of epochs are left at the size
    at which `augment_on` augments them in batches.
    """

    sources: Sequence[ImageSource]
    targets: NDArray[np.int64]
    n_classes: int
    preprocess: Preprocess
    face_finder: FaceFinder
    find_face: bool
    augment: Augment | None
    painter: RandomPainting | None
    seed: int
    for_device: bool = False
    _boxes: dict[int, NDArray[np.float32] | None] = field(default_factory=dict, init=False)
    _landmarks: dict[int, NDArray[np.float32] | None] = field(default_factory=dict, init=False)
    _crops: dict[int, RgbImage] = field(default_factory=dict, init=False)
    _n_kept_bytes: int = field(default=0, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def load(self, row: int, epoch: int | None) -> tuple[RgbImage, int]:
        """Return the image of a row and its class index; without an epoch, it is not painted or augmented."""
        target = int(self.targets[row])
        image = self._open(row, is_shrunk=self.for_device and epoch is not None)
        if epoch is not None:
            rng = np.random.default_rng((self.seed, epoch, row))
            if self.painter is not None and target in (self.painter.unmasked, self.painter.masked):
                landmarks = self._find_landmarks(row, image)
                # Without landmarks, the paint might lie beside the face.
                if landmarks is not None:
                    image, target = self.painter.paint(image, landmarks, target, rng)
            if self.augment is not None:
                changed = self.augment(image.copy(), rng)  # Functions of users may write to it.
                image = load_image(changed, name=f"what augment returned for image {row} ({name_source(changed)})")
            if self.for_device:
                return image, target
        return self.preprocess.resize(image), target

    def augment_on(
        self, device: torch.device, images: Sequence[RgbImage], rows: Sequence[int], epoch: int
    ) -> torch.Tensor:
        """Return the loaded images of rows, augmented and resized on a device: (n, 3, S, S), 0 to 255."""
        # The last number tells these random numbers from those of painting.
        draws = [np.random.default_rng((self.seed, epoch, int(row), 1)).random(N_DRAWS) for row in rows]
        return augment_faces(images, np.stack(draws), self.preprocess.image_size, device)

    def class_factors(self, rows: NDArray[np.int64], weights: NDArray[np.float32], world: World) -> NDArray[np.float32]:
        """Return the factors (n_classes,) of the class weights that compensate for painting.

        Painting turns some unmasked faces into masked ones. With these factors, each class keeps its weight. The
        landmarks of all unmasked faces are detected, shared by the processes.
        """
        class_weights = np.bincount(self.targets[rows], weights=weights[rows], minlength=self.n_classes)
        if self.painter is None:
            return np.ones(len(class_weights), dtype=np.float32)
        unmasked = [int(row) for row in world.shard(rows) if self.targets[row] == self.painter.unmasked]
        for _ in prefetch_map(
            lambda row: self._find_landmarks(row, self._open(row, is_shrunk=self.for_device)), unmasked
        ):
            pass
        paintable = sum(float(weights[row]) for row in unmasked if self._landmarks[row] is not None)
        (paintable,) = world.sum_floats([paintable])
        return self.painter.balance(class_weights, paintable).astype(np.float32)

    def _open(self, row: int, *, is_shrunk: bool) -> RgbImage:
        """Return the cropped image, always of the same size, because kept boxes and landmarks refer to it."""
        if row in self._crops:
            return self._crops[row]
        source = self.sources[row]
        image = self.preprocess.decode(source, name=name_source(source, row))
        if row not in self._boxes:
            self._boxes[row] = self.face_finder.find([image])[0] if self.find_face else None
        crop = crop_to_face(image, self._boxes[row])
        if is_shrunk:
            crop = shrink_face(crop)
        with self._lock:
            # The first crops stay: in epochs of random order, no others are better to keep. Arrays cost no decoding.
            n_bytes = self._n_kept_bytes + crop.nbytes
            if row not in self._crops and n_bytes <= _MAX_KEPT_BYTES and not isinstance(source, np.ndarray):
                self._n_kept_bytes, self._crops[row] = n_bytes, crop.copy()
        return crop

    def _find_landmarks(self, row: int, face: RgbImage) -> NDArray[np.float32] | None:
        if row not in self._landmarks:
            self._landmarks[row] = find_points(face, self.face_finder.detector)
        return self._landmarks[row]
