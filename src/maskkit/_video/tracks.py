"""Which face of this frame is which of the frames before: ByteTrack, by the library trackers."""

from collections.abc import Sequence

import numpy as np
import supervision
from trackers import BIoU, ByteTrackTracker

from maskkit._images.crop import Box

# Faces are small beside their way between two frames that are handled: each box is grown by half its sides
# before overlaps are compared (buffered IoU: Yang et al. 2023, arXiv:2211.14317). How much is ours: of 24 simulated
# persons 21.0 are counted at 2 frames a second and 23.2 at 25, and 11.6 and 24.0 without: benchmarks/tracker.py.
_GROWN_BY = 0.5

# trackers counts its patience in frames of 30 a second.
_REFERENCE_RATE = 30.0


class FaceTracker:
    """Gives the faces of one frame after the other numbers that stay.

    Scores are not passed on: detectors differ in their scale, and what one gives is above its threshold.

    Parameters
    ----------
    hold_s : float
        How long a face that is no longer found is waited for.
    """

    def __init__(self, hold_s: float):
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(hold_s * _REFERENCE_RATE),
            frame_rate=_REFERENCE_RATE,
            # How often a face must be seen is decided on persons: here a detector may flicker.
            minimum_consecutive_frames=1,
            iou=BIoU(_GROWN_BY),
        )

    def update(self, boxes: Sequence[Box], time_s: float) -> list[int | None]:
        """Give each box its track, or None where it is the first of one; times must rise."""
        found = supervision.Detections(
            xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4), data={"index": np.arange(len(boxes))}
        )
        tracked = self._tracker.update(found, timestamp=time_s)
        tracks: list[int | None] = [None] * len(boxes)
        for index, track in zip(tracked.data.get("index", ()), tracked.tracker_id, strict=True):
            tracks[int(index)] = int(track) if track >= 0 else None
        return tracks

    @property
    def alive(self) -> set[int]:
        """Tracks that are seen or waited for."""
        return {int(track.tracker_id) for track in self._tracker.tracks}

    @property
    def missing(self) -> list[Box]:
        """Boxes where faces ought to be that the last frame's detection did not find."""
        boxes = [track.get_state_bbox() for track in self._tracker.tracks if track.time_since_update > 0]
        return [
            (left, top, right, bottom)
            for left, top, right, bottom in np.rint(np.reshape(boxes, (-1, 4))).astype(int).tolist()
            if left < right and top < bottom
        ]
