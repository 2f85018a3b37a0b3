"""Speed of the detector beside its bare network: python -m benchmarks.detection_speed PHOTOS [--n 60].

PHOTOS is a folder of images. The script prints two tables, in wall time and in processor time of all threads:

- how fast `detect` is at 768 px, relative to OpenVINO alone on photos that are already scaled and padded, and relative
  to OpenVINO with Pillow's scaling. 0.9 means that `detect` takes 1 / 0.9 of the time;
- the share of each stage in the time of `detect` at its default scales.

All sides take each photo in turns, so that a slow minute of the machine affects all of them. Printed are the medians
over photos, and the quartiles.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.peers.timing import Timed, seconds_of, take_turns
from maskkit._images.load import RgbImage, load_image
from maskkit.datasets import find_images_below
from maskkit.detectors import Faces, MaskkitDetector
from maskkit.detectors._heatmap import _load_runner, _padded_shape
from maskkit.detectors._pyramid import Tile
from maskkit.detectors._runner import Cells, OpenVINORunner, Runner
from maskkit.engines._devices import resolve_device

LONG_SIDE_PX = 768
DETECT, BARE, BARE_AND_SCALING = "detect", "network alone", "network and Pillow's scaling"
STAGES = ("scaling", "network", "decoding and merging")


class StagedDetector(MaskkitDetector):
    """The detector with a stopwatch: (wall, processor) seconds of the scaling and the network of the last call."""

    def _cut(self, image: RgbImage) -> Iterable[tuple[Tile, float]]:
        self.scaling_s, tiles = timed(lambda: list(super(StagedDetector, self)._cut(image)))
        return tiles

    def _search(self, runner: Runner, images: Sequence[RgbImage]) -> list[Faces]:
        self.network_s = np.zeros(2)
        return super()._search(_TimedRunner(runner, self), images)


class _TimedRunner:
    """A runner that adds its time to that of a detector."""

    def __init__(self, runner: Runner, detector: StagedDetector):
        self.runner = runner
        self.detector = detector
        self.max_pixels = runner.max_pixels

    def find_cells(self, pixels: NDArray[np.uint8], threshold: float) -> list[Cells]:
        seconds, cells = timed(self.runner.find_cells, pixels, threshold)
        self.detector.network_s = self.detector.network_s + seconds
        return cells


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, help="folder of images")
    parser.add_argument("--n", type=int, default=60, help="number of photos")
    args = parser.parse_args()
    paths = find_images_below(args.photos)
    # Even steps through the folder; photos of one shape follow each other, because OpenVINO prepares each new shape.
    images = [load_image(paths[row]) for row in np.linspace(0, len(paths) - 1, min(args.n, len(paths))).astype(int)]
    images.sort(key=lambda image: prepare(image).shape)
    print(f"{len(images)} photos; median over photos [quartiles]")
    print_ratios(images)
    print_shares(images)


def print_ratios(images: Sequence[RgbImage]) -> None:
    """Print the speed of `detect` at one scale relative to the network alone."""
    detector = MaskkitDetector(long_sides_px=LONG_SIDE_PX, device="cpu")
    detector.detect(images[0])  # loads the network
    compiled = load_compiled(detector)
    prepared = [prepare(image) for image in images]
    works: dict[str, Callable[[int], Any]] = {
        DETECT: lambda number: detector.detect(images[number]),
        BARE: lambda number: compiled(prepared[number]),
        BARE_AND_SCALING: lambda number: compiled(prepare(images[number])),
    }
    turns = take_turns(
        {name: lambda number, work=work: timed(work, number)[0][1] for name, work in works.items()},
        len(images),
        report=lambda _: None,
        title="ratios",
    )
    for name in (BARE, BARE_AND_SCALING):
        for kind, seconds in (("wall", seconds_of), ("processor", processor_seconds_of)):
            ours, peers = seconds(turns[DETECT]), seconds(turns[name])
            ratios = [peer / mine for peer, mine in zip(peers, ours, strict=True)]
            print(
                f"detect at {LONG_SIDE_PX} px relative to {name}, {kind} time: {summarize(ratios)} "
                f"({1000 * statistics.median(ours):.1f} ms, {1000 * statistics.median(peers):.1f} ms)"
            )


def print_shares(images: Sequence[RgbImage]) -> None:
    """Print the share of each stage in the time of `detect` with default parameters."""
    detector = StagedDetector(device="cpu")
    detector.detect(images[0])
    shares = []
    for image in images:
        total, _ = timed(detector.detect, image)
        known = np.array([detector.scaling_s, detector.network_s])
        shares.append(np.vstack([known, total - known.sum(axis=0)]) / total)
    for stage, values in zip(STAGES, np.moveaxis(shares, 0, -1), strict=True):
        wall, processor = values
        print(f"share of {stage}: wall time {summarize(wall)}, processor time {summarize(processor)}")


def load_compiled(detector: MaskkitDetector) -> Any:
    """Return the compiled OpenVINO model that the detector uses."""
    runner = _load_runner(detector._weights_path(), detector._read_network, resolve_device("cpu"), "LATENCY")
    assert isinstance(runner, OpenVINORunner)
    return runner.compiled


def prepare(image: RgbImage) -> NDArray[np.uint8]:
    """Scale an image to the long side and pad it to a batch of one, as one would without maskkit."""
    scale = LONG_SIDE_PX / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    batch = np.zeros((1, *_padded_shape(height, width), 3), np.uint8)
    batch[0, :height, :width] = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return batch


def timed(work: Callable[..., Any], *args: Any) -> tuple[NDArray[np.float64], Any]:
    """Return wall and processor seconds of a call, and its result."""
    start = np.array([time.perf_counter(), time.process_time()])
    value = work(*args)
    return np.array([time.perf_counter(), time.process_time()]) - start, value


def processor_seconds_of(turns: Sequence[Timed]) -> list[float]:
    """Return the processor seconds of each turn, which are its values."""
    return [turn.value for turn in turns]


def summarize(values: Sequence[float]) -> str:
    """Return median and quartiles as text."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
