"""The loop: a frame comes, its faces are judged and followed, and what happened is told."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult
from maskkit._video.items import Change, Frame
from maskkit._video.persons import Happening, Persons
from maskkit._video.steps import WatchEvent, WatchStep
from maskkit.exceptions import ImageError, PluginError

if TYPE_CHECKING:
    from maskkit._video.frames import Live, Recording
    from maskkit._video.tracks import FaceTracker
    from maskkit._video.writer import VideoWriter

# A frame that a detector cannot bear is passed over; so many in a row are no bad frame but a bad detector. A
# second of video.
MOST_FAILURES = 25


class Watch(Iterator[WatchStep]):
    """A video being watched, as `maskkit.watch` opens it: yields a `WatchStep` a frame, the last with ``"end"``.

    A context manager: left early, it closes what it opened, and the file that it writes can be played.

    Attributes
    ----------
    source : str
        Without the password that a URL may hold.
    is_live : bool
        Whether frames are dropped rather than waited for.
    """

    def __init__(
        self,
        predict_faces: Callable[[RgbImage], PhotoResult],
        reader: "Live | Recording",
        tracker: "FaceTracker",
        persons: Persons,
        *,
        writer: "VideoWriter | None" = None,
        blur: bool = True,
    ):
        self.source = reader.place.name
        self.is_live = reader.is_live
        self._predict_faces = predict_faces
        self._reader = reader
        self._tracker = tracker
        self._persons = persons
        self._writer = writer
        self._blur = blur
        self._time_s = -0.001
        self._greatest_lag_s = 0.0
        self._n_failures = 0
        self._steps = self._run()

    def __next__(self) -> WatchStep:
        return next(self._steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """End in good order: what is under way is finished, and the last step tells the totals.

        May be called from another thread or from a signal handler.
        """
        self._reader.stop()

    def close(self) -> None:
        """Close the source and the file that is written, without a last step."""
        self._steps.close()
        self._release()

    def _run(self) -> Generator[WatchStep, None, None]:
        try:
            for item in self._reader:
                if isinstance(item, Frame):
                    step = self._handle(item)
                elif isinstance(item, Change):
                    step = self._tell_change(item)
                else:
                    step = self._wait()
                if step is not None:
                    yield step
        finally:
            self._release()
        yield self._finish()

    def _handle(self, frame: Frame) -> WatchStep | None:
        time_s = self._later(frame.time_s)
        try:
            photo = self._predict_faces(frame.to_rgb())
        except (ImageError, PluginError):
            self._reader.counts.n_failed += 1
            self._n_failures += 1
            if self._n_failures >= MOST_FAILURES:
                raise
            return None
        self._n_failures = 0
        happenings = self._persons.pass_time(time_s)
        tracks = self._tracker.update([face.box for face in photo], time_s)
        happenings += self._persons.see(photo, tracks, time_s)
        happenings += self._persons.keep(self._tracker.alive)
        self._reader.counts.n_handled += 1
        step = self._step(frame.utc, happenings, photo=photo)
        if self._writer is not None:
            self._writer.write(step.draw(blur=self._blur), time_s)
        lag_s = time.monotonic() - frame.due_s
        self._greatest_lag_s = max(self._greatest_lag_s, lag_s)
        return replace(step, lag_s=lag_s)

    def _tell_change(self, change: Change) -> WatchStep:
        self._later(change.time_s)
        return self._step(change.utc, [*self._pass_time(), (change.event, change.details)])

    def _wait(self) -> WatchStep | None:
        self._later(self._reader.elapsed_s())
        happenings = self._pass_time()
        return self._step(datetime.now(UTC), happenings) if happenings else None

    def _pass_time(self) -> list[Happening]:
        """Let time pass in which nobody can be seen."""
        happenings = self._persons.pass_time(self._time_s)
        self._tracker.update([], self._time_s)
        return happenings + self._persons.keep(self._tracker.alive)

    def _finish(self) -> WatchStep:
        self._time_s = max(0.0, self._time_s)
        happenings = self._persons.keep(())
        if self._reader.counts.n_read:
            happenings.append(self._persons.close_minute(self._time_s))
        counts = self._reader.counts
        persons = self._persons.counts()
        told = {
            "reason": self._reader.end,
            "source": self.source,
            "n_read": counts.n_read,
            "n_handled": counts.n_handled,
            "n_dropped": counts.n_dropped,
            "n_failed": counts.n_failed,
            "greatest_lag_s": round(self._greatest_lag_s, 3),
            "n_persons": sum(persons.values()),
            "persons": {str(label): count for label, count in persons.items()},
        }
        return self._step(datetime.now(UTC), [*happenings, ("end", told)])

    def _step(self, utc: datetime, happenings: Iterable[Happening], *, photo: PhotoResult | None = None) -> WatchStep:
        seen: dict[str, Any] = {}
        if photo is not None:
            seen = {"persons": self._persons.in_sight(self._time_s), "missing": tuple(self._tracker.missing)}
        return WatchStep(
            self._time_s,
            utc,
            tuple(WatchEvent(kind, self._time_s, utc, details) for kind, details in happenings),
            photo=photo,
            frames=replace(self._reader.counts),
            **seen,
        )

    def _later(self, time_s: float) -> float:
        """Move the time on; it never stands still, since a tracker learns nothing from two frames at once."""
        self._time_s = max(time_s, self._time_s + 0.001)
        return self._time_s

    def _release(self) -> None:
        self._reader.close()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
