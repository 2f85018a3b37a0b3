"""The augmentation of `augment_face` for batches, computed with PyTorch on any device.

Random numbers are drawn on the CPU and copied with the images, and every image takes the same path, with neutral values
where nothing changes. So no step waits for the device, as a choice by what it computed would.

Pictures are resampled as Pillow does, by separable kernels that shrinking widens: cubic convolution with a = -0.5 (Keys
1981, "Cubic convolution interpolation for digital image processing"), and a sinc of three lobes, windowed by a
wider one (Duchon 1979, "Lanczos filtering in one and two dimensions"). JPEG is that of ITU-T T.81 (cosine transform,
quantization) and T.871 (conversion of color).
"""

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from maskkit._images.load import RgbImage
from maskkit._images.preprocess import to_device
from maskkit.augment import _camera

# Random numbers in [0, 1) per image, at least as many as `_choose_changes` takes.
N_DRAWS = 32

_BOX, _LINEAR, _CUBIC, _LANCZOS, _GAUSS = range(5)
_NOISE_PX = 128
# Cells of 8 px in the largest picture that a face is placed in.
_MAX_CELLS = _camera.WORKING_PX * _camera.ZOOM_FACTORS[1] / 8
# Y, Cb and Cr of T.871, but both chroma channels around 0.
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def augment_faces(
    faces: Sequence[RgbImage], draws: NDArray[np.float64], size: int, device: torch.device
) -> torch.Tensor:
    """Return augmented face crops, resized to float32 (n, 3, size, size) from 0 to 255 on the device.

    The changes are those of `augment_face`. The crops, at most 192 px, may differ in size; `draws` are random numbers
    in [0, 1), (n, N_DRAWS).
    """
    sizes = np.array([face.shape[:2] for face in faces])
    side = -(-int(sizes.max()) // 16) * 16  # in whole blocks of JPEG with halved chroma
    canvas = np.zeros((len(faces), side, side, 3), np.uint8)
    for place, face, (height, width) in zip(canvas, faces, sizes, strict=True):
        place[:height, :width] = face
    change = _copy_changes(_choose_changes(draws, sizes), device)
    pixels = to_device(canvas, device).permute(0, 3, 1, 2).float()
    pixels = _relight(_move(_zoom_out(pixels, change), change), change)
    here, ratio = _centers(side, change["size"]), change["size"] / change["small"]
    blur = _weights(here, change["sigma"], _GAUSS, change["size"], side)
    centers = _centers(side, change["small"]) * ratio
    shrink = _weights(centers, ratio, change["shrink kernel"], change["size"], side)
    pixels = _resample(pixels, shrink @ blur).clamp(0, 255)
    pixels = torch.where(change["is compressed"] > 0, _compress(pixels, change["quality"]), pixels)
    grow = _weights(here / ratio, torch.ones_like(ratio), change["grow kernel"], change["small"], side)
    ratio = change["size"] / size
    centers = _centers(size, torch.full_like(ratio, size)) * ratio
    last = _weights(centers, ratio.clamp(min=1), _LINEAR, change["size"], side)
    return _resample(pixels, last @ grow).clamp(0, 255)


def _choose_changes(draws: NDArray[np.float64], sizes: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return what changes in each image, (n,) or, of rows and columns or colors, (n, 2) or (n, 3)."""
    remaining = iter(draws.T[:, :, None])

    def uniform(low: float, high: float, n: int = 1) -> NDArray[np.float64]:
        return low + (high - low) * np.concatenate([next(remaining) for _ in range(n)], axis=1)

    def log_uniform(low: float, high: float) -> NDArray[np.float64]:
        return np.exp(uniform(np.log(low), np.log(high)))

    def happens(probability: float) -> NDArray[np.bool_]:
        return next(remaining) < probability

    zooms, shrinks = happens(_camera.ZOOM_PROBABILITY), happens(_camera.SHRINK_PROBABILITY)
    factor = np.where(zooms, log_uniform(*_camera.ZOOM_FACTORS), 1)
    angle, scale = np.radians(uniform(*_camera.ANGLES_DEG)), log_uniform(*_camera.SCALES)
    longest = sizes.max(axis=1, keepdims=True)
    share = np.where(shrinks, np.minimum(1, log_uniform(*_camera.SHRUNK_PX) / longest), 1)
    kernels = np.where(shrinks, np.floor(uniform(_BOX, _LANCZOS + 1, 2)), _LINEAR)
    return {
        "size": sizes,
        "zoom": factor,
        "offset": uniform(0, 1, 2) * (_camera.ZOOM_LOWEST, 1) * sizes * (factor - 1),
        "has noise": zooms & happens(_camera.NOISE_PROBABILITY),
        "noise color": uniform(0, 256, 3),
        "noise": uniform(*_camera.NOISE_SPREADS),
        "noise offset": uniform(0, _NOISE_PX - _MAX_CELLS, 2),
        "cos": np.cos(angle) / scale,
        "sin": np.sin(angle) / scale,
        "mirror": np.where(happens(0.5), -1, 1),
        "shift": uniform(*_camera.SHIFTS, 2) * sizes,
        **{
            name: np.where(happens(_camera.LIGHT_PROBABILITY), uniform(*_camera.LIGHT_FACTORS), 1)
            for name in ("brightness", "contrast", "color")
        },
        "color kept": ~happens(_camera.GRAY_PROBABILITY),
        "sigma": np.where(happens(_camera.BLUR_PROBABILITY), uniform(*_camera.BLUR_SIGMAS_PX), 0.01),
        "small": np.maximum(1, np.round(sizes * share)),
        "shrink kernel": kernels[:, :1],
        "grow kernel": kernels[:, 1:],
        "is compressed": next(remaining) < np.where(shrinks, *_camera.JPEG_PROBABILITIES),
        "quality": np.floor(uniform(*_camera.JPEG_QUALITIES)),
    }


def _copy_changes(changes: dict[str, NDArray[np.float64]], device: torch.device) -> dict[str, torch.Tensor]:
    """Copy the changes to the device at once, each as (n, 1 to 3, 1, 1)."""
    table = to_device(np.concatenate(list(changes.values()), axis=1).astype(np.float32), device)
    parts = table[:, :, None, None].split([values.shape[1] for values in changes.values()], dim=1)
    return dict(zip(changes, parts, strict=True))


def _zoom_out(pixels: torch.Tensor, change: dict[str, torch.Tensor]) -> torch.Tensor:
    size, factor, side = change["size"], change["zoom"], pixels.shape[-1]
    large = _centers(side, size) * factor
    centers = large - change["offset"]
    weights = _weights(torch.minimum(centers.clamp(min=0.5), size - 0.5), factor, _LINEAR, size, side)
    face = _resample(pixels, weights)
    cells = large / 8 + change["noise offset"]
    full = torch.full_like(size, _NOISE_PX)
    noise = _resample(_constants(pixels.device)[0], _weights(cells, torch.ones_like(size), _CUBIC, full, _NOISE_PX))
    noise = (change["noise color"] + change["noise"] * noise).clamp(0, 255)
    # Shares of each row and column that lie on the face.
    shares = (torch.minimum(centers + factor / 2, size) - (centers - factor / 2).clamp(min=0)) / factor
    rows, columns = shares.clamp(0, 1).split(1, dim=1)
    is_noise = (1 - rows * columns.transpose(-1, -2)) * change["has noise"]
    return face + (noise - face) * is_noise


def _move(pixels: torch.Tensor, change: dict[str, torch.Tensor]) -> torch.Tensor:
    size, side = change["size"], pixels.shape[-1]
    # Distances to the center of the picture; rows and columns must have an axis each.
    rows, columns = (_centers(side, size) - size / 2).split(1, dim=1)
    columns = columns.transpose(-1, -2)
    from_y = change["cos"] * rows - change["sin"] * columns
    from_x = change["mirror"] * (change["cos"] * columns + change["sin"] * rows)
    places = torch.cat((from_y, from_x), dim=1) + size / 2 + change["shift"]
    places = torch.minimum(places.clamp(min=0.5), size - 0.5)  # repeats the edge
    grid = places.flip(1).permute(0, 2, 3, 1) * (2 / side) - 1
    return functional.grid_sample(pixels, grid, align_corners=False)


def _relight(pixels: torch.Tensor, change: dict[str, torch.Tensor]) -> torch.Tensor:
    pixels = (pixels * change["brightness"]).clamp(0, 255)
    inside = (torch.arange(pixels.shape[-1], device=pixels.device).view(-1, 1) < change["size"]).float()
    inside = inside[:, :1] * inside[:, 1:].transpose(-1, -2)
    mean = (_gray(pixels) * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True)
    pixels = (mean + change["contrast"] * (pixels - mean)).clamp(0, 255)
    gray = _gray(pixels)
    pixels = (gray + change["color"] * (pixels - gray)).clamp(0, 255)
    gray = _gray(pixels)
    return gray + change["color kept"] * (pixels - gray)


def _gray(pixels: torch.Tensor) -> torch.Tensor:
    red, green, blue = pixels.split(1, dim=1)
    return _YCC[0][0] * red + _YCC[0][1] * green + _YCC[0][2] * blue


def _compress(pixels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Return pixels as JPEG of a quality leaves them, with chroma of half the resolution."""
    _, dct, tables, to_ycc, to_rgb = _constants(pixels.device)
    tables = tables[quality.flatten().long()]
    channels = torch.einsum("ij,njhw->nihw", to_ycc, pixels)
    luma = _quantize(channels[:, :1] - 128, tables[:, :1], dct) + 128
    chroma = _quantize(functional.avg_pool2d(channels[:, 1:], 2), tables[:, 1:], dct)
    chroma = functional.interpolate(chroma, scale_factor=2, mode="bilinear")
    return torch.einsum("ij,njhw->nihw", to_rgb, torch.cat((luma, chroma), dim=1)).clamp(0, 255)


def _quantize(channels: torch.Tensor, tables: torch.Tensor, dct: torch.Tensor) -> torch.Tensor:
    """Round the cosine transforms of blocks of 8 x 8 to multiples of the tables (n, 1, 8, 8)."""
    blocks = channels.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
    steps = tables[:, :, None, None]
    blocks = dct.T @ (torch.round(dct @ blocks @ dct.T / steps) * steps) @ dct
    return blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    x = x.abs()
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, (1.5 * x - 2.5) * x**2 + 1, far * (x < 2))


# By their numbers above.
_KERNELS = (
    lambda x: ((x >= -0.5) & (x < 0.5)).float(),
    lambda x: (1 - x.abs()).clamp(min=0),
    _cubic,
    lambda x: torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3),
    lambda x: torch.exp(-0.5 * x**2),
)


def _centers(n: int, size: torch.Tensor) -> torch.Tensor:
    """Return the centers of n pixels, (..., n, 1); those beyond a picture's size are that of its last."""
    return torch.minimum(torch.arange(n, device=size.device).view(-1, 1) + 0.5, size - 0.5)


def _weights(
    centers: torch.Tensor, scale: torch.Tensor, kernel: torch.Tensor | int, size: torch.Tensor, side: int
) -> torch.Tensor:
    """Return the weights (..., n, side) of pixels around each center, as those of Pillow's kernels.

    Pixels from `size` on have none. `scale` widens the kernel.
    """
    pixels = torch.arange(side, device=centers.device)
    x = (pixels + 0.5 - centers) / scale
    if isinstance(kernel, int):
        weights = _KERNELS[kernel](x)
    else:
        weights = torch.zeros_like(x)
        for index, function in enumerate(_KERNELS[:_GAUSS]):
            weights = torch.where(kernel == index, function(x), weights)
    weights = weights * (pixels < size)
    return weights / weights.sum(-1, keepdim=True)


def _resample(pixels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return weighted sums of pixels, by weights (n, 2, ...) of rows and of columns."""
    return weights[:, :1] @ pixels @ weights[:, 1:].transpose(-1, -2)


@cache
def _constants(device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return noise, the cosine transform, JPEG's tables by quality and its conversions of color, once per device."""
    noise = np.random.default_rng(0).normal(size=(3, _NOISE_PX, _NOISE_PX))
    n = np.arange(8)
    dct = np.cos(np.outer(n, 2 * n + 1) * np.pi / 16) * np.where(n == 0, np.sqrt(1 / 8), 0.5)[:, None]
    tables = np.ones((_camera.JPEG_QUALITIES[1], 2, 8, 8))
    for quality in range(1, len(tables)):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        tables[quality] = np.reshape(list(Image.open(file).quantization.values()), (2, 8, 8))  # type: ignore[attr-defined]
    arrays = (noise, dct, tables, np.array(_YCC), np.linalg.inv(_YCC))
    with torch.inference_mode(False):
        return tuple(to_device(array.astype(np.float32), device) for array in arrays)
