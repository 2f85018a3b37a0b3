"""The clock of a stream: times that increase whatever timestamps a file has."""

import math
from typing import Any

# A larger step between two timestamps is a break: screen recordings and motion cameras pause, but a file whose
# timestamps leap by hours states a time that nobody recorded. Ours.
MAX_GAP_S = 60.0

# Timestamps that go back by more than this are a break, and those that go back by less are out of order. Ours.
MAX_BACK_S = 1.0

# Bounds of the time between frames that a file may state: 1,000 frames per second, and one per second.
_STEP_RANGE_S = (0.001, 1.0)
_DEFAULT_STEP_S = 1 / 25


class StreamClock:
    """Seconds since the first frame, which always increase.

    Timestamps are followed where they increase by at most `MAX_GAP_S`. After a break, the clock goes on by the usual
    time between frames, and `jump_s` is the change of the timestamps that it left out.
    """

    def __init__(self, stream: Any):
        self._step_s = _usual_step(stream)
        self._offset_s = 0.0
        self._stamp_s: float | None = None
        self._last_s = -self._step_s
        self._n_stuck = 0
        self.jump_s: float | None = None

    def read(self, picture: Any) -> float:
        """Return the time of the next picture."""
        next_s = self._last_s + self._step_s
        stamp_s = _to_finite(picture.time)
        before_s, self.jump_s = self._stamp_s, None
        if stamp_s is None:
            self._last_s = next_s
            return next_s
        self._stamp_s = stamp_s
        if before_s is not None:
            if stamp_s + self._offset_s - self._last_s <= MAX_GAP_S and stamp_s - before_s >= -MAX_BACK_S:
                self._last_s = self._after(stamp_s + self._offset_s)
                return self._last_s
            self.jump_s = stamp_s - before_s
        # From the first timestamp, or from one after a break, the clock goes on where it is.
        self._last_s, self._offset_s, self._n_stuck = next_s, next_s - stamp_s, 0
        return next_s

    def _after(self, time_s: float) -> float:
        """Return the time, or one after the last if the timestamps repeat or are out of order."""
        if time_s > self._last_s:
            self._n_stuck = 0
            return time_s
        self._n_stuck += 1
        # After half a step, the next timestamp is still ahead, so that one repeated timestamp does not delay the rest.
        return self._last_s + self._step_s / (2 if self._n_stuck == 1 else 1)


def _usual_step(stream: Any) -> float:
    """Return the time between two frames as the file states it, within `_STEP_RANGE_S`."""
    for rate in (stream.average_rate, stream.guessed_rate):
        value = _to_finite(rate)
        if value is not None and value > 0:
            least, most = _STEP_RANGE_S
            return min(max(1 / value, least), most)
    return _DEFAULT_STEP_S


def _to_finite(value: Any) -> float | None:
    """Return a number of a file as a float, or None if it is missing or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
