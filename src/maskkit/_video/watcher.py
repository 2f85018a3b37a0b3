"""The loop of `maskkit.watch`: read a frame, classify and track its faces, report events."""

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from maskkit._images.load import RgbImage
from maskkit._model.results import MASKKIT_VERSION, PhotoResult
from maskkit._video.events import Frame, WatchStep
from maskkit._video.persons import EventData, Persons
from maskkit.exceptions import ImageError, PluginError
from maskkit.sinks._base import WatchEvent
from maskkit.sinks._worker import SinkWorker, close_workers

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor
    from maskkit._video.alarms import AlarmRule
    from maskkit._video.readers import FileReader, LiveReader
    from maskkit._video.tracking import FaceTracker
    from maskkit._video.writer import VideoWriter

# With more tracked faces than this, looking near each takes about as long as searching a frame in full.
MAX_NEAR = 30

# A frame on which the detector fails is skipped. After this many in a row, the detector itself is broken. They are
# one second of video at 25 frames per second.
MAX_FAILURES = 25


class Watch(Iterator[WatchStep]):
    """A video that is watched, as `maskkit.watch` returns it: an iterator of `WatchStep`.

    The last step has the event ``"end"``. As a context manager it closes the source, the sinks and the written file,
    which can be played even if the loop is left early.

    Attributes
    ----------
    source : str
        Name of the source, without the password of a URL.
    is_live : bool
        Whether frames are dropped when there is no time for them.
    """

    def __init__(
        self,
        predictor: "FacePredictor",
        reader: "LiveReader | FileReader",
        tracker: "FaceTracker",
        persons: Persons,
        *,
        search_every_s: float = 0.0,
        alarm: "AlarmRule | None" = None,
        snapshot: bool = False,
        writer: "VideoWriter | None" = None,
        blur: bool = True,
        workers: Sequence[SinkWorker] = (),
        flush_timeout_s: float = 0.0,
    ):
        self.source, self.is_live = reader.source.name, reader.is_live
        self._predictor, self._reader, self._tracker, self._persons = predictor, reader, tracker, persons
        self._search_every_s, self._searched_s = search_every_s, -math.inf
        self._alarm, self._snapshot, self._writer, self._blur = alarm, snapshot, writer, blur
        self._workers, self._flush_timeout_s = workers, flush_timeout_s
        self._time_s, self._max_lag_s, self._n_failures = -0.001, 0.0, 0
        self._detector_error: PluginError | None = None
        self._model: dict[str, str | None] = {"model": None, "model_sha256": None, "maskkit_version": MASKKIT_VERSION}
        self._steps = self._run()

    def __next__(self) -> WatchStep:
        # Before a step is taken, which a warning that is raised as an error would lose.
        for worker in self._workers:
            worker.report()
        try:
            step = next(self._steps)
        except BaseException as exc:  # also the end of the video
            self._close_sinks(type(exc))
            raise
        for worker in self._workers:
            for event in step.events:
                worker.put(event)
        return step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._steps.close()
            self._release()
        finally:
            self._close_sinks(kind)

    def stop(self) -> None:
        """Stop after the current frame; the last step contains the totals.

        May be called from another thread or from a signal handler.
        """
        self._reader.stop()

    def close(self) -> None:
        """Close the source and the written file, without a last step, and the sinks after sending what waits."""
        self.__exit__(None)

    def _run(self) -> Generator[WatchStep, None, None]:
        try:
            for item in self._reader:
                if isinstance(item, Frame):
                    step = self._process(item)
                elif isinstance(item, WatchEvent):
                    self._advance(item.time_s)
                    step = self._step(item.utc, [*self._update_without_frame(), (item.event, dict(item.details))])
                else:  # No frame has arrived for a while, and persons may have left.
                    self._advance(item)
                    events = self._update_without_frame()
                    step = self._step(datetime.now(UTC), events) if events else None
                if step is not None:
                    yield step
        finally:
            self._release()
        yield self._finish()

    def _process(self, frame: Frame) -> WatchStep | None:
        """Return the step of a frame, or None if the detector fails on it."""
        time_s = self._advance(frame.time_s)
        events: list[EventData] = []
        if frame.jump_s is not None:  # The timestamps of a file leapt: what follows may be another recording.
            self._tracker.reset()
            self._searched_s = -math.inf
            events = [*self._remove_ended(()), ("time_jump", {"jump_s": round(frame.jump_s, 3)})]
        counts = self._reader.counts
        is_searched = self._is_search_due(time_s)
        try:
            photo, tracks = self._read(frame.to_rgb(), time_s, searching=is_searched)
        except (ImageError, PluginError) as exc:
            if isinstance(exc, PluginError):
                self._detector_error = exc
            counts.n_failed, counts.last_failure = counts.n_failed + 1, str(exc)
            self._n_failures += 1
            if self._n_failures >= MAX_FAILURES:
                raise
            return self._step(frame.utc, events) if events else None
        self._n_failures = 0
        self._model |= {"model": photo.model, "model_sha256": photo.model_sha256}
        # A minute that ended before this frame must not count its persons. Tracks that ended are removed last,
        # because the tracker may have found them again in this frame.
        events += self._persons.close_minutes(time_s)
        events += self._persons.update(photo, tracks, time_s)
        events += self._remove_ended(self._tracker.active)
        counts.n_processed, counts.n_searched = counts.n_processed + 1, counts.n_searched + is_searched
        step = self._step(frame.utc, events, photo=photo)
        if self._snapshot and any(event.event == "alarm" for event in step.events):
            step = self._add_snapshot(step, is_searched=is_searched)
        if self._writer is not None:
            self._writer.write(step.draw(blur=self._blur), time_s)
        lag_s = time.monotonic() - frame.due_s
        self._max_lag_s = max(self._max_lag_s, lag_s)
        return replace(step, lag_s=lag_s)

    def _is_search_due(self, time_s: float) -> bool:
        return time_s - self._searched_s >= self._search_every_s or len(self._tracker.boxes) > MAX_NEAR

    def _read(self, image: RgbImage, time_s: float, *, searching: bool) -> tuple[PhotoResult, list[int | None]]:
        """Detect and classify the faces of a frame, or those near tracked faces; return them and their tracks."""
        found = self._predictor.find_faces(image, None if searching else self._tracker.boxes)
        if searching:
            self._searched_s = time_s
        # Faces that `max_faces` leaves out are tracked, too: they are looked for in the next frames, and blurred.
        tracks = self._tracker.update([*found.boxes, *found.left_out], time_s)[: len(found.boxes)]
        known = self._persons.known_faces(tracks, time_s) if self._search_every_s else None
        return self._predictor.classify_faces(found, known), tracks

    def _add_snapshot(self, step: WatchStep, *, is_searched: bool) -> WatchStep:
        """Return a step whose alarm has a picture in which all detected faces are blurred, also new ones."""
        hidden = step
        if not is_searched and step.image is not None:
            try:
                found = self._predictor.find_faces(step.image)
                hidden = replace(step, missing=(*step.missing, *found.boxes, *found.left_out))
            except PluginError as exc:  # without a picture rather than with a face that is not blurred
                self._reader.counts.last_failure = str(exc)
                return step
        jpeg = hidden.to_jpeg()
        marked = (replace(event, snapshot=jpeg) if event.event == "alarm" else event for event in step.events)
        return replace(step, events=tuple(marked))

    def _update_without_frame(self) -> list[EventData]:
        """Update minutes and tracks for time in which no frame arrived."""
        events = self._persons.close_minutes(self._time_s)
        self._tracker.update([], self._time_s)
        return events + self._remove_ended(self._tracker.active)

    def _remove_ended(self, active: Iterable[int]) -> list[EventData]:
        """Remove the persons whose track is not active; return who left, and the alarm of those who are there."""
        events = self._persons.remove_ended(active)
        return events + (self._alarm.update(self._persons.present(), self._time_s) if self._alarm else [])

    def _finish(self) -> WatchStep:
        """Return the last step: all persons leave, and the totals are reported.

        Raises the detector's error if it failed on every frame that could be decoded: the video is not at fault.
        """
        counts = self._reader.counts
        if self._detector_error is not None and not counts.n_processed and self._reader.end_reason == "ended":
            raise self._detector_error
        self._time_s = max(0.0, self._time_s)
        events = self._remove_ended(())
        if counts.n_read:
            events.append(self._persons.close_minute(self._time_s))
        persons = self._persons.counts()
        totals = {
            "reason": self._reader.end_reason,
            "source": self.source,
            **asdict(counts),
            "max_lag_s": round(self._max_lag_s, 3),
            "n_persons": sum(persons.values()),
            "persons": persons,
        }
        if self._alarm is not None:
            totals |= {"n_alarms": self._alarm.n_alarms, "n_alarm_persons": self._alarm.n_persons}
        return self._step(datetime.now(UTC), [*events, ("end", totals)])

    def _step(self, utc: datetime, events: Iterable[EventData], *, photo: PhotoResult | None = None) -> WatchStep:
        visible: dict[str, Any] = {}
        if photo is not None:
            visible = {"persons": self._persons.visible(self._time_s), "missing": tuple(self._tracker.lost_boxes)}
        return WatchStep(
            self._time_s,
            utc,
            tuple(
                WatchEvent(kind, self._time_s, utc, {**details, **(self._model if kind in ("minute", "end") else {})})
                for kind, details in events
            ),
            photo=photo,
            frames=replace(self._reader.counts),
            **visible,
        )

    def _advance(self, time_s: float) -> float:
        """Advance the time by at least a millisecond, because the tracker needs increasing times."""
        self._time_s = max(time_s, self._time_s + 0.001)
        return self._time_s

    def _release(self) -> None:
        self._reader.close()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def _close_sinks(self, error: type[BaseException] | None) -> None:
        """Send what waits for the sinks, except after a second Ctrl-C, which stops at once."""
        workers, self._workers = self._workers, ()
        close_workers(workers, self._flush_timeout_s if error is None or issubclass(error, Exception) else 0.0)
