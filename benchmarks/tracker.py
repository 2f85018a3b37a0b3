"""How many persons the tracker of `maskkit watch` makes of 24, by frames a second: python benchmarks/tracker.py.

Boxes alone, no pictures: faces of 25 to 80 px cross 640 x 480 px at 40 to 160 px a second within a minute, some over
others; a tenth of the looks is missed, and boxes shake by 4 % of their side. Means of five scenes.
"""

import numpy as np
import supervision
from trackers import BIoU, ByteTrackTracker

N_PERSONS, SECONDS, MAX_LOST_S, MIN_HITS = 24, 60.0, 2.0, 3


def main() -> None:
    """Print the persons counted for each growth of boxes and each frame rate."""
    for rate in (25, 8, 4, 2):
        counted = {
            grown_by: np.mean([count(seed, rate, grown_by) for seed in range(5)]) for grown_by in (0, 0.3, 0.5, 1)
        }
        told = ", ".join(f"{persons:.1f} grown by {grown_by}" for grown_by, persons in counted.items())
        print(f"{rate} frames a second, {N_PERSONS} persons: {told}")


def count(seed: int, rate: float, grown_by: float) -> int:
    """Count the tracks of at least MIN_HITS frames in one scene."""
    rng = np.random.default_rng(seed)
    sizes, speeds = rng.uniform(25, 80, N_PERSONS), rng.uniform(40, 160, N_PERSONS) * rng.choice([-1, 1], N_PERSONS)
    starts, tops = rng.uniform(0, SECONDS - 5, N_PERSONS), rng.uniform(0, 480 - sizes)
    tracker = ByteTrackTracker(round(30 * MAX_LOST_S), 30.0, minimum_consecutive_frames=1, iou=BIoU(grown_by))
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
