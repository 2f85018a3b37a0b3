"""Tracking: assigns the faces of each frame to tracks, with ByteTrack from the library trackers."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import supervision
from trackers import BIoU, ByteTrackTracker

from maskkit._images.crop import Box

# Faces are small compared with their movement between two processed frames, so that boxes of one face may not
# overlap. Each box is therefore grown by this fraction of its sides before overlaps are compared (buffered IoU: Yang
# et al. 2023, arXiv:2211.14317). The fraction is ours: of 24 simulated persons 21.0 are counted at 2 frames per second
# and 23.2 at 25, but 11.6 and 24.0 without growing: benchmarks/tracker.py.
_BOX_GROWTH = 0.5

# The library counts its buffer of lost tracks in frames at 30 frames per second.
_REFERENCE_RATE = 30.0


class FaceTracker:
    """Assigns stable track numbers to the faces of consecutive frames.

    A track ends when its face was not detected for `max_lost_s` seconds; without `keeps_new`, that of a face that was
    detected once ends when it is missing in the next two frames. Detection scores are not used: detectors differ in
    their scale, and each has applied its own threshold.
    """

    def __init__(self, max_lost_s: float, *, keeps_new: bool = False):
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(max_lost_s * _REFERENCE_RATE),
            frame_rate=_REFERENCE_RATE,
            # Persons, not tracks, need a minimum number of hits, because the hits need not be consecutive.
            minimum_consecutive_frames=0 if keeps_new else 1,
            iou=BIoU(_BOX_GROWTH),
        )

    def update(self, boxes: Sequence[Box], time_s: float) -> list[int | None]:
        """Return the track of each box, or None for the first box of a track; times must increase."""
        # The tracker changes the order of the boxes; the index restores it.
        detections = supervision.Detections(
            xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4), data={"index": np.arange(len(boxes))}
        )
        tracked = self._tracker.update(detections, timestamp=time_s)
        tracks: list[int | None] = [None] * len(boxes)
        for index, track in zip(tracked.data.get("index", ()), tracked.tracker_id, strict=True):
            tracks[int(index)] = int(track) if track >= 0 else None
        return tracks

    def reset(self) -> None:
        self._tracker.reset()

    @property
    def active(self) -> set[int]:
        """Tracks that have not ended: detected in the last frame, or lost for a short time."""
        return {int(track.tracker_id) for track in self._tracker.tracks}

    @property
    def boxes(self) -> list[Box]:
        """Boxes of all tracks: detected in the last frame, or predicted."""
        return _list_boxes(self._tracker.tracks)

    @property
    def lost_boxes(self) -> list[Box]:
        """Predicted boxes of the tracks that were not detected in the last frame."""
        return _list_boxes(track for track in self._tracker.tracks if track.time_since_update > 0)


def _list_boxes(tracks: Iterable[Any]) -> list[Box]:
    boxes = [track.get_state_bbox() for track in tracks]
    return [
        (left, top, right, bottom)
        for left, top, right, bottom in np.rint(np.reshape(boxes, (-1, 4))).astype(int).tolist()
        if left < right and top < bottom
    ]
