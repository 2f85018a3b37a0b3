"""Throughput of `maskkit watch` at 25 frames per second of 640 x 480: python benchmarks/watch.py [SECONDS].

Two heads of the public-domain portrait, one with a painted mask, cross a drawn background repeatedly.
The video plays in real time, and frames are dropped if processing is too slow. The script prints, for one stream and
for two at once, the frames processed and searched in full, the maximum lag, the processor time, and the number of
persons counted and crossing.
"""

import math
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageFilter
from skimage.data import astronaut

import maskkit
from maskkit.augment import paint_mask

RATE, SIZE = 25, (640, 480)
# Seconds per crossing, size of the head and its upper edge in pixels, and whether it moves from left to right.
WALKS = ((6.0, 150, 60, True), (8.0, 120, 290, False))

# Name, long sides of the detector, number of streams at once, and options of `maskkit.watch`.
SETTINGS: list[tuple[str, Any, int, dict[str, Any]]] = [
    ("one stream", "auto", 1, {}),
    ("two streams", "auto", 2, {}),
    ("one stream", 640, 1, {}),
    ("two streams", 640, 2, {}),
    ("one stream", 480, 1, {}),
    ("two streams", 480, 2, {}),
    ("every frame searched in full", "auto", 1, {"search_every_s": 0}),
    ("every frame searched in full", 640, 1, {"search_every_s": 0}),
    ("every frame searched in full", 480, 1, {"search_every_s": 0}),
    ("saved with blurred faces", "auto", 1, {"save": True}),
    ("saved with blurred faces", 640, 1, {"save": True}),
    ("saved with blurred faces", 480, 1, {"save": True}),
    ("saved without blurring", "auto", 1, {"save": True, "blur": False}),
]


def main() -> None:
    """Write the video, watch it with several settings, and print the results."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 48.0
    model = maskkit.MaskClassifier.from_pretrained()
    print(f"{seconds:.0f} s, {seconds * RATE:.0f} frames; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{math.ceil(seconds / 6)} unmasked and {math.ceil(seconds / 8)} masked persons cross")
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "crossing.mp4", seconds, draw_heads(model))
        for name, long_sides_px, n_streams, options in SETTINGS:
            model.detector_.set_params(long_sides_px=long_sides_px)
            model.predict_faces(np.zeros((*SIZE[::-1], 3), dtype=np.uint8))  # compiles the network
            start_s = time.process_time()
            ends = watch(model, video, n_streams, options)
            processor_ms = 1000 * (time.process_time() - start_s) / sum(end["n_processed"] for end in ends)
            for end in ends:
                print(
                    f"{name}, long sides {long_sides_px}: {end['n_read']} read, {end['n_processed']} processed "
                    f"({end['n_processed'] / end['n_read']:.3f}; {end['n_processed'] / seconds:.1f} per second), "
                    f"{end['n_searched']} searched in full, {end['n_dropped']} dropped, "
                    f"maximum lag {end['max_lag_s']:.2f} s, {processor_ms:.1f} ms of processor time per frame, "
                    f"{end['n_persons']} persons {end['persons']}",
                    flush=True,
                )


def watch(model: maskkit.MaskClassifier, video: Path, n_streams: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Watch a video in real time, as several streams in threads; return the totals of each."""
    save = video.with_name("drawn.mp4") if options.get("save") else None

    def follow(_: int) -> dict[str, Any]:
        return [*maskkit.watch(model, video, realtime=True, **{**options, "save": save})][-1].events[-1].details

    with ThreadPoolExecutor(n_streams) as pool:
        ends = list(pool.map(follow, range(n_streams)))
    if save is not None:
        save.unlink()  # No file is replaced.
    return ends


def draw_heads(model: maskkit.MaskClassifier) -> list[Image.Image]:
    """Crop the head of the portrait, unmasked and with a painted mask."""
    portrait = astronaut()
    masked = paint_mask(portrait, model.predict_faces(portrait)[0].landmarks, kind="surgical", random_state=5)
    return [Image.fromarray(picture).crop((110, 0, 340, 230)) for picture in (portrait, masked)]


def write_video(path: Path, seconds: float, heads: list[Image.Image]) -> Path:
    """Write a video of the heads crossing a background."""
    noise = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    background = Image.fromarray(noise).resize(SIZE).filter(ImageFilter.GaussianBlur(8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(round(seconds * RATE)):
            picture = background.copy()
            for head, (period_s, size_px, top, from_left) in zip(heads, WALKS, strict=True):
                progress = index / RATE / period_s % 1
                current_px = round(size_px * (1 + 0.2 * math.sin(2 * index / RATE)))
                left = round((progress if from_left else 1 - progress) * (SIZE[0] + size_px)) - size_px
                picture.paste(head.resize((current_px, current_px)), (left, top))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
