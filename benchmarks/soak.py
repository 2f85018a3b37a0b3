"""Soak test: predict photos for hours, one in a hundred broken, and check for lost results and memory growth.

    python benchmarks/soak.py face-mask-photos 30

takes a folder of photos and a duration in minutes. It prints a line per minute and the results as JSON, and exits with
1 if a result is missing, out of order, or has a wrong status.
"""

import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from maskkit import MaskClassifier
from maskkit.datasets import find_images_below

# One in this many photos is broken.
BROKEN_INTERVAL = 100


def make_broken(photo: Path, folder: Path) -> list[Path]:
    """Write broken files of several kinds; return their paths and that of a missing file."""
    data = photo.read_bytes()
    contents = {
        "half.jpg": data[: len(data) // 2],
        "empty.png": b"",
        "notes.jpg": b"bought milk",
        "head.png": data[:40],
        "page.jpg": b"<!DOCTYPE html><title>404</title>",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return [*(folder / name for name in (*contents, "folder.jpg")), folder / "gone.jpg"]


def resident_mb() -> float:
    """Return the resident memory of this process; Linux only."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(folder: str, minutes: float) -> int:
    """Run the test; return the exit code."""
    photos = find_images_below(Path(folder))
    rng = random.Random(0)
    model = MaskClassifier.from_pretrained()
    expected: list[tuple[str, bool]] = []
    counts = {"photos": 0, "broken": 0, "faces": 0, "named_errors": 0, "lost": 0, "wrong": 0}
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        broken = make_broken(photos[0], Path(scratch))
        end = time.monotonic() + 60 * minutes

        def stream() -> Iterator[Path]:
            while time.monotonic() < end:
                is_broken = rng.randrange(BROKEN_INTERVAL) == 0
                path = rng.choice(broken if is_broken else photos)
                expected.append((str(path), is_broken))
                yield path

        next_report = time.monotonic()
        for result in model.predict_photos(stream(), on_error="report"):
            path, is_broken = expected.pop(0)
            counts["photos"] += 1
            counts["broken"] += is_broken
            counts["faces"] += len(result)
            counts["named_errors"] += result.error is not None and path in result.error
            counts["wrong"] += str(result.source) != path or is_broken != (result.error is not None)
            if time.monotonic() > next_report:
                gc.collect()
                memory.append(round(resident_mb(), 1))
                print(f"{counts['photos']:>8,} photos  {memory[-1]:8.1f} MB", flush=True)
                next_report += 60
        counts["lost"] = len(expected)
    # The first minutes fill the caches of allocators, compiled shapes and features.
    settled = memory[len(memory) // 3 :] or [resident_mb()]
    print(json.dumps({**counts, "minutes": minutes, "mb_after_a_third": settled[0], "mb_at_the_end": settled[-1]}))
    return 1 if counts["lost"] or counts["wrong"] or counts["named_errors"] != counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
