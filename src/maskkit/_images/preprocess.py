"""From any image to the square of pixels that a network takes; one home for training and prediction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskkit._images.load import ImageSource, RgbImage, load_image

Augment: TypeAlias = Callable[[RgbImage, np.random.Generator], RgbImage]
"""Gives a changed copy of an RGB uint8 (H, W, 3) image; the size may differ."""

# Far larger JPEGs are decoded at a half, a quarter or an eighth of their size, at least so many times what
# the network takes: a face that fills a quarter of the picture keeps all that the network could see.
_DRAFT = 4


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize and scale images as a backbone wants them.

    Parameters
    ----------
    image_size : int, > 0
        Side of the square, in pixels.
    mean, std : tuple of 3 floats
        A pixel ``x`` in [0, 1] becomes ``(x - mean) / std``, channel by channel (RGB).
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def load(self, source: ImageSource, *, name: str | None = None) -> RgbImage:
        """Read an image and resize it: `resize` of what `open` gives."""
        return self.resize(self.open(source, name=name))

    def open(self, source: ImageSource, *, name: str | None = None) -> RgbImage:
        """Read an image, (H, W, 3) uint8; of one far larger than the network needs, maybe a smaller copy.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        return load_image(source, name=name, min_px=_DRAFT * self.image_size)

    def resize(self, image: RgbImage) -> RgbImage:
        """Resize an image to (image_size, image_size, 3) uint8.

        The whole image is stretched to a square, with antialiased bilinear interpolation. Nothing is
        cropped: at a face crop's edge is the chin.
        """
        size = (self.image_size, self.image_size)
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))

    def normalize(self, images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        """Turn uint8 (n, S, S, 3) into the network's float32 (n, 3, S, S), channels last in memory."""
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
        mean, std = (torch.tensor(value, device=device).mul_(255).view(1, 3, 1, 1) for value in (self.mean, self.std))
        return pixels.sub_(mean).div_(std)
