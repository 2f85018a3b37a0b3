"""Persons that the tracker of `maskkit watch` counts, of 24, by frame rate: python benchmarks/tracker.py.

Only boxes are simulated: faces of 25 to 80 px cross 640 x 480 px at 40 to 160 px per second within a minute, some in
front of others; a tenth of the detections is missing, and boxes jitter by 4 % of their side. Means of five scenes.
"""

import numpy as np
import supervision
from trackers import BIoU, ByteTrackTracker

N_PERSONS, SECONDS, MAX_LOST_S, MIN_HITS = 24, 60.0, 2.0, 3


def main() -> None:
    """Print the number of persons for each frame rate and box expansion."""
    for rate in (25, 8, 4, 2):
        counted = {
            expansion: np.mean([count(seed, rate, expansion) for seed in range(5)]) for expansion in (0, 0.3, 0.5, 1)
        }
        listed = ", ".join(f"{persons:.1f} expanded by {expansion}" for expansion, persons in counted.items())
        print(f"{rate} frames per second, {N_PERSONS} persons: {listed}")


def count(seed: int, rate: float, expansion: float) -> int:
    """Count the tracks of at least MIN_HITS frames in one scene."""
    rng = np.random.default_rng(seed)
    sizes, speeds = rng.uniform(25, 80, N_PERSONS), rng.uniform(40, 160, N_PERSONS) * rng.choice([-1, 1], N_PERSONS)
    starts, tops = rng.uniform(0, SECONDS - 5, N_PERSONS), rng.uniform(0, 480 - sizes)
    tracker = ByteTrackTracker(round(30 * MAX_LOST_S), 30.0, minimum_consecutive_frames=1, iou=BIoU(expansion))
    n_frames: dict[int, int] = {}
    for time_s in np.arange(0, SECONDS, 1 / rate):
        lefts = np.where(speeds > 0, 0, 640 - sizes) + speeds * (time_s - starts)
        seen = (time_s >= starts) & (lefts >= 0) & (lefts <= 640 - sizes) & (rng.random(N_PERSONS) > 0.1)
        corners = np.stack([lefts, tops + 8 * np.sin(3 * time_s + starts)], axis=1)
        corners += rng.normal(0, 0.04, (N_PERSONS, 2)) * sizes[:, None]
        boxes = np.concatenate([corners, corners + sizes[:, None]], axis=1)[seen].astype(np.float32)
        for track in tracker.update(supervision.Detections(boxes), timestamp=time_s).tracker_id:
            n_frames[track] = n_frames.get(track, 0) + 1
    return sum(frames >= MIN_HITS for track, frames in n_frames.items() if track >= 0)


if __name__ == "__main__":
    main()
