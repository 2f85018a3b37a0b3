"""Whether `maskkit watch` keeps up with 25 frames a second of 640 x 480: python benchmarks/watch.py [SECONDS].

Two heads of the public-domain portrait, one with a painted mask, cross a drawn background again and again.
The video plays at its own speed; frames that there is no time for are dropped. Printed are the frames, the
maximum lag, and the persons counted beside those that there were.
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
# Seconds for one crossing, size of the head in pixels, its upper edge, and whether it comes from the left.
WALKS = ((6.0, 150, 60, True), (8.0, 120, 290, False))


def main() -> None:
    """Write the video, watch it in several ways, and print what became of its frames and persons."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 48.0
    model = maskkit.MaskClassifier.from_pretrained()
    own = model.detector_.long_side_px
    print(f"{seconds:.0f} s, {seconds * RATE:.0f} frames; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{math.ceil(seconds / 6)} bare and {math.ceil(seconds / 8)} masked persons cross")
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "crossing.mp4", seconds, draw_heads(model))
        for save in (None, Path(folder) / "drawn.mp4"):
            for long_side_px in (own, 640, 480):
                model.detector_.set_params(long_side_px=long_side_px)
                model.predict_faces(np.zeros((*SIZE[::-1], 3), dtype=np.uint8))  # compiles, once
                end = [*maskkit.watch(model, video, realtime=True, save=save)][-1].events[-1].details
                print(
                    f"long side {long_side_px} px, {'saved' if save else 'not saved'}: {end['n_read']} read, "
                    f"{end['n_processed']} processed, {end['n_dropped']} dropped, {end['n_processed'] / seconds:.1f} a "
                    f"second, maximum lag {end['max_lag_s']:.2f} s, persons {end['persons']}"
                )


def draw_heads(model: maskkit.MaskClassifier) -> list[Image.Image]:
    """Cut the head out of the portrait, bare and masked."""
    portrait = astronaut()
    masked = paint_mask(portrait, model.predict_faces(portrait)[0].landmarks, kind="surgical", random_state=5)
    return [Image.fromarray(picture).crop((110, 0, 340, 230)) for picture in (portrait, masked)]


def write_video(path: Path, seconds: float, heads: list[Image.Image]) -> Path:
    """Let the heads cross a wall."""
    noise = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    wall = Image.fromarray(noise).resize(SIZE).filter(ImageFilter.GaussianBlur(8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(round(seconds * RATE)):
            picture = wall.copy()
            for head, (period_s, size_px, top, from_left) in zip(heads, WALKS, strict=True):
                way = index / RATE / period_s % 1
                now_px = round(size_px * (1 + 0.2 * math.sin(2 * index / RATE)))
                left = round((way if from_left else 1 - way) * (SIZE[0] + size_px)) - size_px
                picture.paste(head.resize((now_px, now_px)), (left, top))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
