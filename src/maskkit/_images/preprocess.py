"""Preprocessing, the same for training and prediction: any image to the square of pixels that a network takes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskkit._checks.numbers import check_finite, check_int
from maskkit._images.load import ImageSource, RgbImage, load_image

Augment: TypeAlias = Callable[[RgbImage, np.random.Generator], RgbImage]
"""Returns a changed copy of an RGB uint8 (H, W, 3) image; the size may differ."""

# Very large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, but at no less than this many times the network's
# input: a face that fills a quarter of the picture keeps every detail that the network can use.
_DRAFT_SCALE = 4


def make_preprocess(image_size: Any, mean: Any, std: Any) -> "Preprocess":
    """Build the preprocessing from numbers of any library, such as those of a plugin or a file.

    Raises TypeError or ValueError if they are not a size, three finite means and three deviations above zero.
    """
    size = check_int(image_size, "image_size", 1)
    channels = {}
    for name, given in (("mean", mean), ("std", std)):
        values = check_finite(given, name)
        if values.shape != (3,) or (name == "std" and (values <= 0).any()):
            wanted = "three numbers (R, G, B)" + (" above 0" if name == "std" else "")
            raise ValueError(f"{name} is {values.tolist()}; want {wanted}.")
        channels[name] = values.tolist()
    return Preprocess(size, tuple(channels["mean"]), tuple(channels["std"]))


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the memory format in which convolutions of a device are fast."""
    # On MPS, gradients take about 30 times as long with channels last: github.com/pytorch/pytorch/issues/193349.
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a device. CUDA copies it later, while this thread goes on."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        # CUDA copies from pinned memory without a wait; PyTorch keeps that memory until the copy is complete.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@cache
def _channels_on(device: torch.device, values: tuple[float, float, float]) -> torch.Tensor:
    """Return a value per channel in units of uint8, copied to each device once."""
    with torch.inference_mode(False):  # Training must be able to use it, too.
        return torch.tensor(values, device=device).mul_(255).view(1, 3, 1, 1)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resizing to `image_size` pixels square, and normalization of pixels in [0, 1] to ``(x - mean) / std`` (RGB)."""

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def load(self, source: ImageSource, *, name: str | None = None) -> RgbImage:
        """Load and resize an image."""
        return self.resize(self.decode(source, name=name))

    def decode(self, source: ImageSource, *, name: str | None = None) -> RgbImage:
        """Load an image, (H, W, 3) uint8; one far larger than the network needs may be scaled down.

        Raises ImageError if the image cannot be read.
        """
        return load_image(source, name=name, min_px=_DRAFT_SCALE * self.image_size)

    def resize(self, image: RgbImage) -> RgbImage:
        """Resize an image to (image_size, image_size, 3) uint8.

        The whole image is stretched to a square, with antialiased bilinear interpolation. Nothing is cropped, because
        the chin lies at the edge of a face crop.
        """
        size = (self.image_size, self.image_size)
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))

    def normalize(self, images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        """Convert uint8 (n, S, S, 3) to the network's float32 (n, 3, S, S), in the memory format of the device."""
        return self.normalize_(to_device(images, device).permute(0, 3, 1, 2).float())

    def normalize_(self, pixels: torch.Tensor) -> torch.Tensor:
        """Convert float32 (n, 3, S, S) from 0 to 255 in place, to the memory format of their device."""
        mean, std = (_channels_on(pixels.device, value) for value in (self.mean, self.std))
        return pixels.sub_(mean).div_(std).contiguous(memory_format=memory_format(pixels.device))
