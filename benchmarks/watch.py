"""Throughput of `maskkit watch` at 25 frames per second of 640 x 480: python benchmarks/watch.py [SECONDS].

Two heads of the public-domain portrait, one with a painted mask, cross a drawn background repeatedly.
The video plays in real time, and frames are dropped if processing is too slow. The script prints the frames, the
maximum lag, and the number of persons counted and crossing.
"""

import math
import os
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter
from skimage.data import astronaut

import maskkit
from maskkit.augment import paint_mask

RATE, SIZE = 25, (640, 480)
# Seconds per crossing, size of the head and its upper edge in pixels, and whether it moves from left to right.
WALKS = ((6.0, 150, 60, True), (8.0, 120, 290, False))


def main() -> None:
    """Write the video, watch it with several settings, and print the results."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 48.0
    model = maskkit.MaskClassifier.from_pretrained()
    print(f"{seconds:.0f} s, {seconds * RATE:.0f} frames; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{math.ceil(seconds / 6)} unmasked and {math.ceil(seconds / 8)} masked persons cross")
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "crossing.mp4", seconds, draw_heads(model))
        for save in (None, Path(folder) / "drawn.mp4"):
            for long_sides_px in ("auto", 640, 480):
                model.detector_.set_params(long_sides_px=long_sides_px)
                model.predict_faces(np.zeros((*SIZE[::-1], 3), dtype=np.uint8))  # compiles the network
                if save is not None:
                    save.unlink(missing_ok=True)  # No file is replaced.
                end = [*maskkit.watch(model, video, realtime=True, save=save)][-1].events[-1].details
                print(
                    f"long sides {long_sides_px}, {'saved' if save else 'not saved'}: {end['n_read']} read, "
                    f"{end['n_processed']} processed, {end['n_dropped']} dropped, {end['n_processed'] / seconds:.1f} "
                    f"per second, maximum lag {end['max_lag_s']:.2f} s, persons {end['persons']}"
                )


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
