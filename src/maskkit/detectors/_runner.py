"""Running the face network: OpenVINO on a CPU, PyTorch on CUDA and MPS."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from maskkit._images.hashing import hash_file
from maskkit.detectors._network import VERSION, FaceNetwork
from maskkit.engines._compile import compile_model
from maskkit.engines._devices import InHalves, autocast, resolve_precision
from maskkit.engines._openvino import trace

ReadNetwork = Callable[[str], FaceNetwork]


class Cells(NamedTuple):
    """The cells of one image in which a face has its center: rows and columns (k, 2), scores (k,), values (k, 14).

    The values are the logarithms of height and width, the offsets of the center, and the landmarks.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.float32]
    values: NDArray[np.float32]


class Runner(Protocol):
    """Runs the face network; safe to call from several threads.

    `max_pixels` is the number of pixels of the largest batch; an image alone may have more.
    """

    max_pixels: int

    def find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        """Return, for each image of (n, H, W, 3), sides multiples of 32, the cells with a score above a threshold."""
        ...


class OpenVINORunner:
    """Runs the network on the CPU, in bfloat16 where the processor supports it, else in float32."""

    # Small images in a batch take half as long, because starting takes as long as searching one. Batches of larger ones
    # are not faster, and OpenVINO prepares each new shape of a batch.
    max_pixels = 150_000

    def __init__(self, path: str, read_network: ReadNetwork, hint: str):
        build = partial(_convert, path, read_network)
        # Another reader may refuse a file that this one reads.
        key = f"faces {VERSION} {read_network.__qualname__} {hash_file(path)}"
        # A network compiled for any size is as fast as one compiled for the size at hand.
        self.compiled = compile_model(build, key=key, settings={"PERFORMANCE_HINT": hint})

    def find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        # A new request for each call makes it safe for threads, and takes no measurable time.
        outputs = self.compiled.create_infer_request().infer([pixels])
        return select_cells([outputs[index] for index in range(4)], threshold)


class TorchRunner:
    """Runs the network on a GPU; only cells with a face leave its memory."""

    # About 3 GB of activations.
    max_pixels = 8_000_000

    def __init__(self, path: str, read_network: ReadNetwork, device: torch.device):
        self.device = device
        self.precision = resolve_precision("auto", device)
        self.network = read_network(path).eval().to(device).to(memory_format=torch.channels_last)

    def find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        hint = "use lower long_sides_px and max_pixels of the detector, or its device='cpu'"
        # Images differ in size, so that the number that fits is of no use for the next ones.
        return list(chain(*InHalves(partial(self._find_cells, threshold=threshold), self.device, hint)(pixels)))

    def _find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        with torch.inference_mode(), autocast(self.device, self.precision):
            images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            heat, *maps = self.network(images.float().contiguous(memory_format=torch.channels_last))
            found = (heat[:, 0] > threshold).nonzero()
            n, rows, columns = found.T
            scores = heat[n, 0, rows, columns].float().cpu().numpy()
            values = torch.cat([channels[n, :, rows, columns] for channels in maps], dim=1).float().cpu().numpy()
        found = found.cpu().numpy()
        return [
            Cells(found[rows, 1:], scores[rows], values[rows])
            for rows in (found[:, 0] == index for index in range(len(pixels)))
        ]


def select_cells(maps: Sequence[NDArray[np.float32]], threshold: float) -> list[Cells]:
    """Return the cells of each image above a threshold; maps are heat (n, 1, rows, columns), sizes, offsets, points."""
    heat, *others = maps
    cells = []
    for index in range(len(heat)):
        positions = np.argwhere(heat[index, 0] > threshold)
        rows, columns = positions.T
        values = np.concatenate([channels[index, :, rows, columns] for channels in others], axis=1)
        cells.append(Cells(positions, heat[index, 0, rows, columns], values))
    return cells


def make_runner(path: str, read_network: ReadNetwork, device: torch.device, hint: str) -> Runner:
    """Return a runner for a device; `hint` is OpenVINO's performance hint."""
    if device.type == "cpu":
        return OpenVINORunner(path, read_network, hint)
    return TorchRunner(path, read_network, device)


def _convert(path: str, read_network: ReadNetwork) -> Any:
    model = trace(read_network(path).eval(), 64).build()
    model.reshape([-1, -1, -1, 3])
    return model
